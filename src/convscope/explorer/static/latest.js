// Answers come in any order; only the one to the newest question may change the page.

/**
 * A function ask(promise, show, fail): calls show(answer) or fail(error), unless ask was called again meanwhile.
 */
export function newest() {
  let current = null;
  return (promise, show, fail) => {
    current = promise;
    promise.then(
      (answer) => current === promise && show(answer),
      (error) => current === promise && fail(error),
    );
  };
}
