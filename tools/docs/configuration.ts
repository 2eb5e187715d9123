import { defaultOf, variableGroups } from "../../lib/config/help.ts";
import type { Variable } from "../../lib/config/variable.ts";
import { CONTROL_ACTORS, ROLE_DOCS, ROLES } from "../../lib/config/variables.ts";
import { code, page, table } from "./markdown.ts";

const shownDefault = (variable: Variable<unknown>): string =>
  variable.fallback ? code(variable.fallback) : defaultOf(variable);

const sentenceOf = ({ doc, secret }: Variable<unknown>): string => (secret ? `${doc} Kept out of logs.` : doc);

const placeOf = ({ ini }: Variable<unknown>): string => (ini ? code(`[${ini.section}] ${ini.option}`) : "");

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
      variableGroups().general.map((variable) => [
        code(variable.env),
        sentenceOf(variable),
        shownDefault(variable),
        variable.kind.takes,
        variable.roles === "all" ? "all" : variable.roles.join(", "),
      ]),
    ),
    "## Variables of the packager",
    "They may also stand in a CasterPak `config.ini`; what the environment says counts more. What `[token]` and " +
      "`[encryption]` have may be said again for other paths in `[token_<name>]` and `[encryption_<name>]`, in the " +
      "environment as `CASTERPAK_TOKEN_<NAME>_PATHS` and so on.",
    table(
      ["variable", "in config.ini", "what it is", "default", "takes"],
      variableGroups().packager.map((variable) => [
        code(variable.env),
        placeOf(variable),
        sentenceOf(variable),
        shownDefault(variable),
        variable.kind.takes,
      ]),
    ),
  );
