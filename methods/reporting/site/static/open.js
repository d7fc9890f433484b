// A link to something inside a closed <details> opens it.
(() => {
  "use strict";
  function open() {
    const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    const box = target && target.closest("details");
    if (box) {
      box.open = true;
      box.scrollIntoView();
    }
  }
  window.addEventListener("hashchange", open);
  open();
})();
