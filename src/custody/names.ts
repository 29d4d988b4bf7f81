import { CustodyError } from "./errors.ts";

const principalPattern = /^[A-Za-z0-9][A-Za-z0-9._@-]{0,63}$/;
const aliasPattern = /^alias\/[A-Za-z0-9/_-]{1,250}$/;

/** A principal's name: 1 to 64 letters, digits and `._@-`, beginning with a letter or digit. */
export function checkPrincipalName(name: string): string {
  if (!principalPattern.test(name))
    throw new CustodyError(
      "INPUT_INVALID",
      `the name ${JSON.stringify(name.slice(0, 80))} is not 1 to 64 letters, digits or ._@- beginning with a letter or digit`,
    );
  return name;
}

/** A group's name: the same form as a principal's. */
export function checkGroupName(name: string): string {
  return checkPrincipalName(name);
}

/** An alias as AWS has it: `alias/` and 1 to 250 letters, digits and `/_-`; `alias/aws/` is AWS's own. */
export function checkAlias(alias: string): string {
  if (!aliasPattern.test(alias) || alias.startsWith("alias/aws/"))
    throw new CustodyError(
      "INPUT_INVALID",
      `the alias ${JSON.stringify(alias.slice(0, 80))} is not alias/ followed by 1 to 250 letters, digits or /_-`,
    );
  return alias;
}

/** Text for people (descriptions), 0 to 8192 characters. */
export function checkDescription(description: string): string {
  if (description.length > 8192 || !description.isWellFormed())
    throw new CustodyError("INPUT_INVALID", "a description has at most 8192 characters of well-formed Unicode");
  return description;
}
