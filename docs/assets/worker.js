// Browsers start no workers from files. Pages opened from a folder search in a hidden frame instead.
class FrameWorker extends EventTarget {
  constructor(address) {
    super()
    const frame = document.createElement("iframe")
    frame.hidden = true
    document.body.append(frame)
    this.waiting = []
    this.room = frame.contentWindow
    // What the worker posts goes to those who listen here
    this.room.postMessage = data => this.dispatchEvent(new MessageEvent("message", { data }))
    this.room.importScripts = (...names) => Promise.all(names.map(name => this.load(name)))
    this.load(address).then(() => {
      const { waiting } = this
      this.waiting = null
      waiting.forEach(data => this.postMessage(data))
    })
  }

  load(address) {
    return new Promise((resolve, reject) => {
      const script = this.room.document.createElement("script")
      script.src = new URL(address, document.baseURI)
      script.onload = resolve
      script.onerror = reject
      this.room.document.body.append(script)
    })
  }

  postMessage(data) {
    if (this.waiting) this.waiting.push(data)
    else this.room.dispatchEvent(new MessageEvent("message", { data }))
  }

  terminate() {}
}

if (location.protocol === "file:") window.Worker = FrameWorker
