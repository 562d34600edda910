// What the test listens to of any client.
export function events() {
  const listeners = {};
  return {
    state: "connecting",
    on: (event, fn) => void (listeners[event] ??= []).push(fn),
    tell: (event, ...args) => listeners[event]?.forEach((fn) => fn(...args)),
    push(n) {
      this.tell("message", { bdy: { n } });
    },
  };
}
