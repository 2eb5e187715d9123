import { defaultOf } from "../../lib/config/help.ts";
import { CONTROL_ACTORS, ROLE_DOCS, ROLES, VARIABLES } from "../../lib/config/variables.ts";
import { code, page, table } from "./markdown.ts";

const shownDefault = (variable: (typeof VARIABLES)[keyof typeof VARIABLES]): string =>
  variable.fallback ? code(variable.fallback) : defaultOf(variable);

/** docs/configuration.md: every variable, from the table that the start reads. */
export const configurationPage = (): string =>
  page(
    "Configuration",
    "All configuration is in environment variables. A variable that is empty counts as unset; one that can't be right " +
      "stops the start with status 64 and one line that names it. `npm start -- --help` prints the same list, " +
      "`npm run doctor` checks it against the machine.",
    "## Roles",
    table(
      ["role", "what it does"],
      ROLES.map((role) => [code(role), ROLE_DOCS[role]]),
    ),
    `The actors of \`control\` (${CONTROL_ACTORS.map(code).join(", ")}) may each be a process of their own: ` +
      "`ROLES` takes their names too.",
    "## Variables",
    table(
      ["variable", "what it is", "default", "takes", "roles"],
      Object.values(VARIABLES).map((variable) => [
        code(variable.env),
        "secret" in variable ? `${variable.doc} Kept out of logs.` : variable.doc,
        shownDefault(variable),
        variable.kind.takes,
        variable.roles === "all" ? "all" : variable.roles.join(", "),
      ]),
    ),
  );
