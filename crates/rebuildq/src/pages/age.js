(function () {
  "use strict";
  var made = document.getElementById("made");
  var warning = document.getElementById("old");
  if (!made || !warning) return;
  function look() {
    var age = (Date.now() - Date.parse(made.dateTime)) / 1000;
    var isOld = age > Number(warning.dataset.after);
    if (isOld) {
      var minutes = Math.floor(age / 60);
      var hours = Math.floor(minutes / 60);
      document.getElementById("age").textContent =
        hours < 2 ? minutes + " minutes" : hours < 48 ? hours + " hours" : Math.floor(hours / 24) + " days";
    }
    if (warning.hidden === isOld) warning.hidden = !isOld;
  }
  look();
  setInterval(look, 5000);
})();
