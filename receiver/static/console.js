// What the pages of the console can do more where there are scripts. All of them work without.

import { ask } from "./dialogs.js";
import { unfold } from "./lazy.js";
import { follow } from "./live.js";
import { localise } from "./moments.js";

localise(document);
ask(document);
unfold(document);
follow(document.querySelector("main"));
