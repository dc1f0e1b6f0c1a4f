/** Whether this process or thread is a child of a worker's pool. A module that starts a worker is told so. */

const state = { inChild: false };

/** Called once, by the child's entry. */
export function markChild(): void {
  state.inChild = true;
}

export function isChild(): boolean {
  return state.inChild;
}
