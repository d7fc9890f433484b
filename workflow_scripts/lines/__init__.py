"""What people see of a run: lines of jobs, why they run, how long the rest may take, and what a plan is made from."""
