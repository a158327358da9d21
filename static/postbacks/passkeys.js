/* Connects a form marked with data-passkey to allauth's scripts, and explains errors. */

(() => {
  const form = document.querySelector("[data-passkey]");
  const problem = document.getElementById("passkey-problem");
  const isNumber = /^[\d.]+$|:/.test(window.location.hostname); // an address, not a name

  const explanation = (error) => {
    if (isNumber) {
      return "Passkeys belong to a name, and this page was opened by a number. Open it by its name, "
        + `for example http://localhost:${window.location.port || 80}.`;
    }
    if (error.name === "NotAllowedError") return "That was canceled, or took too long. Try again.";
    if (error.name === "InvalidStateError") return "This passkey is known already.";
    return "This browser can't use passkeys here.";
  };

  document.addEventListener("allauth.error", (event) => {
    event.preventDefault();
    problem.textContent = explanation(event.detail.exception);
    problem.hidden = false;
  });

  const ids = {
    credential: "passkey-credential",
    data: "passkey-data",
    passwordless: "id_passwordless",
  };
  for (const role of ["add", "authenticate", "login"]) ids[role] = "passkey-button";
  window.allauth.webauthn.forms[form.dataset.passkey]({ ids });
})();
