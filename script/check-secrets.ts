/**
 * Checks, by the types of the expressions, that nothing in src/ prints or formats a secret:
 *
 * - a SecretBuffer in a template literal, a string concatenation, `String()`, `JSON.stringify`, `inspect`, `format`, a
 *   log or console call, a write to stdout or stderr, or the constructor of an error, or its own `toString`/`toJSON`;
 * - inside the function given to `SecretBuffer.expose`, bytes turned into text, or put into any of these;
 * - `expose(…).toString(…)`, where the function only copies.
 *
 * A line that does so on purpose ends in `// exposes-secret: <reason>`; a reason with nothing to excuse is an offence too.
 * Exit code 1 with `file:line: what` for each offence.
 */
import { relative } from "node:path";
import {
  isArrowFunction,
  isBinaryExpression,
  isCallExpression,
  isFunctionDeclaration,
  isFunctionExpression,
  isIdentifier,
  isNewExpression,
  isObjectLiteralExpression,
  isPropertyAccessExpression,
  isPropertyAssignment,
  isShorthandPropertyAssignment,
  isSpreadAssignment,
  isSpreadElement,
  isTemplateExpression,
  isVariableDeclaration,
  type Node,
  type SourceFile,
  SyntaxKind,
} from "typescript/unstable/ast";
import { API, type Project, type Type } from "typescript/unstable/sync";

export interface SecretLeak {
  /** Relative to the root. */
  readonly file: string;
  readonly line: number;
  readonly what: string;
}

const marker = /\/\/ exposes-secret: \S/;
const textMethods = new Set(["toString", "toJSON", "toLocaleString", "toHex", "toBase64", "hexSlice", "base64Slice"]);
const sliceMethods = new Set(["utf8Slice", "latin1Slice", "asciiSlice", "ucs2Slice", "base64urlSlice"]);
/** Calls that print or format what they are given, by the text of the callee. */
const sinks =
  /^(console\.\w+|process\.(stdout|stderr)\.write|JSON\.stringify|String|(util\.)?(inspect|format|formatWithOptions)|((.*\.)?#?log(ger)?)(\.\w+)?)$/;
const copying = /^(Buffer\.(from|concat|copyBytesFrom)|new Uint8Array|\w+\.(subarray|slice))$/;

/** Every place under `root`/src that prints or formats a secret. `root` has the tsconfig.json to read. */
export function findSecretLeaks(root: string): readonly SecretLeak[] {
  const configFile = `${root}/tsconfig.json`;
  const api = new API({ cwd: root });
  try {
    const project = api.updateSnapshot({ openProjects: [configFile] }).getProject(configFile);
    if (project === undefined) throw new Error(`${configFile} is not a project`);
    const names = project.program.getSourceFileNames().filter((name) => relative(root, name).startsWith("src/"));
    if (names.length === 0) throw new Error(`${configFile} names no file under src/`);
    return names.flatMap((name) => {
      const source = project.program.getSourceFile(name);
      if (source === undefined) throw new Error(`${name} can't be read`);
      return unexcused(relative(root, name), source, new Walk(project, source).offences());
    });
  } finally {
    api.close();
  }
}

interface Offence {
  readonly node: Node;
  readonly what: string;
}

/** The offences on lines without a marker, and the markers without an offence. */
function unexcused(file: string, source: SourceFile, offences: readonly Offence[]): SecretLeak[] {
  const lines = source.text.split("\n");
  const used = new Set<number>();
  const leaks: SecretLeak[] = [];
  for (const { node, what } of offences) {
    const line = source.getLineAndCharacterOfPosition(node.getStart(source)).line;
    if (marker.test(lines[line] ?? "")) used.add(line);
    else leaks.push({ file, line: line + 1, what });
  }
  for (const [line, text] of lines.entries())
    if (marker.test(text) && !used.has(line))
      leaks.push({ file, line: line + 1, what: "a reason with nothing to excuse" });
  return leaks;
}

/** Arrays in unions in arrays: what is written by hand is not deeper. */
const maxTypeDepth = 8;

/** One file's syntax tree, with the checker at hand. */
class Walk {
  readonly #project: Project;
  readonly #source: SourceFile;
  readonly #found = new Map<Node, string>();

  constructor(project: Project, source: SourceFile) {
    this.#project = project;
    this.#source = source;
  }

  offences(): readonly Offence[] {
    this.#visit(this.#source, (node) => this.#isSecret(node), "a secret");
    return [...this.#found].map(([node, what]) => ({ node, what }));
  }

  /** Looks for `isBad` values that are printed or formatted anywhere under `node`. */
  #visit(node: Node, isBad: (node: Node) => boolean, name: string): void {
    const found = (bad: Node, place: string) => {
      if (!this.#found.has(bad)) this.#found.set(bad, `${name} ${place}`);
    };
    if (isTemplateExpression(node)) {
      for (const { expression } of node.templateSpans)
        if (isBad(expression)) found(expression, "in a template literal");
    } else if (isBinaryExpression(node)) {
      const operator = node.operatorToken.kind;
      if (operator === SyntaxKind.PlusToken || operator === SyntaxKind.PlusEqualsToken)
        for (const side of [node.left, node.right]) if (isBad(side)) found(side, "in a concatenation");
    } else if (isCallExpression(node) || isNewExpression(node)) {
      const callee = node.expression.getText(this.#source);
      const sink = isNewExpression(node) ? this.#isError(this.#typeOf(node)) : sinks.test(callee.replaceAll("?.", "."));
      if (sink)
        for (const argument of node.arguments ?? [])
          for (const part of parts(argument)) if (isBad(part)) found(part, `given to ${callee}`);
      if (isCallExpression(node)) this.#visitMethodCall(node, isBad, found);
    }
    node.forEachChild((child) => this.#visit(child, isBad, name));
  }

  #visitMethodCall(
    call: Node & { readonly expression: Node; readonly arguments: readonly Node[] },
    isBad: (node: Node) => boolean,
    found: (node: Node, place: string) => void,
  ): void {
    const callee = call.expression;
    if (!isPropertyAccessExpression(callee)) return;
    const method = callee.name.text;
    if (textMethods.has(method) || sliceMethods.has(method)) {
      if (isBad(callee.expression)) found(callee.name, `turned into text by ${method}`);
      else if (this.#isPlainExpose(callee.expression))
        found(callee.name, `copied out and turned into text by ${method}`);
    }
    const argument = call.arguments[0];
    if (argument === undefined) return;
    if (method === "decode" && isBad(argument)) found(argument, "turned into text by decode");
    if (method === "expose" && this.#isSecret(callee.expression)) {
      const body = this.#functionOf(argument);
      if (body !== undefined) this.#visit(body, (node) => this.#isBytes(node) || this.#isSecret(node), "exposed bytes");
    }
  }

  /** The function written here, or the one of this file that is named here. */
  #functionOf(argument: Node): Node | undefined {
    if (isArrowFunction(argument) || isFunctionExpression(argument)) return argument;
    const declaration = this.#project.checker.getSymbolAtLocation(argument)?.valueDeclaration?.resolve(this.#project);
    if (declaration === undefined || declaration.getSourceFile() !== this.#source) return undefined;
    return isFunctionDeclaration(declaration) || isVariableDeclaration(declaration) ? declaration : undefined;
  }

  /** `secret.expose(f)` where f calls nothing but what copies or cuts bytes. */
  #isPlainExpose(node: Node): boolean {
    if (!isCallExpression(node) || !isPropertyAccessExpression(node.expression)) return false;
    if (node.expression.name.text !== "expose" || !this.#isSecret(node.expression.expression)) return false;
    const [argument] = node.arguments;
    return argument !== undefined && isArrowFunction(argument) && this.#onlyCopies(argument);
  }

  #onlyCopies(node: Node): boolean {
    if ((isCallExpression(node) || isNewExpression(node)) && !copying.test(calleeText(node, this.#source)))
      return false;
    return node.forEachChild((child) => (this.#onlyCopies(child) ? undefined : true)) !== true;
  }

  #isSecret(node: Node): boolean {
    return this.#holds(this.#typeOf(node), (name) => name === "SecretBuffer");
  }

  #isBytes(node: Node): boolean {
    return this.#holds(this.#typeOf(node), (name) => name === "Buffer" || name === "Uint8Array");
  }

  #isError(type: Type | undefined): boolean {
    if (type === undefined) return false;
    return type.getSymbol()?.name === "Error" || (type.getBaseTypes() ?? []).some((base) => this.#isError(base));
  }

  #typeOf(node: Node): Type | undefined {
    if (isShorthandPropertyAssignment(node)) {
      const symbol = this.#project.checker.getShorthandAssignmentValueSymbol(node);
      return symbol && this.#project.checker.getTypeOfSymbol(symbol);
    }
    return this.#project.checker.getTypeAtLocation(node);
  }

  /** True for a type of such a name, a union with one, and an array or tuple of it. A type may hold itself: so far down only. */
  #holds(type: Type | undefined, named: (name: string) => boolean, depth = 0): boolean {
    if (type === undefined || depth > maxTypeDepth) return false;
    if (type.isUnionType()) return type.getTypes().some((member) => this.#holds(member, named, depth + 1));
    if (named(type.getSymbol()?.name ?? "")) return true;
    const { checker } = this.#project;
    if (!checker.isArrayType(type) && !checker.isTupleType(type)) return false;
    return checker
      .getTypeArguments(type as Parameters<typeof checker.getTypeArguments>[0])
      .some((item) => this.#holds(item, named, depth + 1));
  }
}

function calleeText(node: Node & { readonly expression: Node }, source: SourceFile): string {
  return `${isNewExpression(node) ? "new " : ""}${node.expression.getText(source)}`;
}

/** The values that an argument is made of: itself, and what literals of objects and arrays and calls hold. */
function parts(argument: Node): Node[] {
  if (isShorthandPropertyAssignment(argument)) return [argument];
  if (isPropertyAssignment(argument)) return parts(argument.initializer);
  if (isSpreadAssignment(argument) || isSpreadElement(argument)) return parts(argument.expression);
  if (isObjectLiteralExpression(argument)) return argument.properties.flatMap(parts);
  if (isIdentifier(argument) || isPropertyAccessExpression(argument)) return [argument];
  const inner: Node[] = [argument];
  if (isArrowFunction(argument) || isFunctionExpression(argument)) return inner;
  if (isCallExpression(argument) || isNewExpression(argument))
    return [...inner, ...(argument.arguments ?? []).flatMap(parts)];
  argument.forEachChild((child) => void inner.push(...parts(child)));
  return inner;
}

if (import.meta.main) {
  const leaks = findSecretLeaks(new URL("..", import.meta.url).pathname.replace(/\/$/, ""));
  for (const { file, line, what } of leaks) console.log(`${file}:${line}: ${what}`);
  process.exitCode = leaks.length > 0 ? 1 : 0;
}
