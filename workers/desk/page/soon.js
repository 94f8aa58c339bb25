// News come one by one; what they change is fetched together, and in a busy house no more often than anybody can read.

const FIRST_MS = 150; // changes that come together are fetched together
const APART_MS = 500; // a list that moves more often is not read, and every desk would ask for it

/** A function that has `act` done soon after it is called, once for all calls until then. */
export function soon(act) {
  let timer = 0;
  let last = -APART_MS;
  return () => {
    if (timer) return; // not begun anew: where something always changes, nothing would ever be fetched
    timer = setTimeout(
      () => {
        timer = 0;
        last = performance.now();
        act();
      },
      Math.max(FIRST_MS, last + APART_MS - performance.now()),
    );
  };
}
