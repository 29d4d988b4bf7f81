/**
 * A small assembler for WebAssembly modules (WebAssembly core specification 3.0, binary format): what the SM4 kernels
 * need of it and no more. An instruction is written as a function of its operands, so that code reads as expressions.
 */

/** Instructions as bytes, nested as they were composed; {@link assembleModule} lays them flat. */
export type Code = number | readonly Code[];

export type ValueType = "i32" | "i64" | "v128";

const typeBytes: Readonly<Record<ValueType, number>> = { i32: 0x7f, i64: 0x7e, v128: 0x7b };

/** Unsigned LEB128. */
export function unsigned(value: number): number[] {
  if (!Number.isSafeInteger(value) || value < 0)
    throw new RangeError(`an unsigned whole number was expected, got ${value}`);
  const bytes: number[] = [];
  let rest = value;
  while (rest > 127) {
    bytes.push((rest % 128) | 128);
    rest = Math.floor(rest / 128);
  }
  return [...bytes, rest];
}

/** Signed LEB128, of up to 64 bits. */
export function signed(value: bigint): number[] {
  const bytes: number[] = [];
  for (let rest = value; ; ) {
    const low = Number(rest & 127n);
    rest >>= 7n;
    if ((rest === 0n && low < 64) || (rest === -1n && low >= 64)) return [...bytes, low];
    bytes.push(low | 128);
  }
}

function flat(code: Code, into: number[] = []): number[] {
  if (typeof code === "number") into.push(code);
  else for (const part of code) flat(part, into);
  return into;
}

/** One function: its parameters come first among its locals. It returns nothing. */
export class WasmFunction {
  readonly name: string;
  readonly #parameters: ValueType[] = [];
  readonly #locals: ValueType[] = [];
  readonly #body: Code[] = [];

  constructor(name: string) {
    this.name = name;
  }

  /** Declares the next parameter; all parameters come before the first local. */
  parameter(type: ValueType): Local {
    if (this.#locals.length > 0) throw new Error(`function ${this.name} has locals before a parameter`);
    this.#parameters.push(type);
    return new Local(this.#parameters.length - 1);
  }

  local(type: ValueType): Local {
    this.#locals.push(type);
    return new Local(this.#parameters.length + this.#locals.length - 1);
  }

  append(...code: readonly Code[]): void {
    this.#body.push(...code);
  }

  /** Its entry in the type section. */
  get signature(): Code {
    return [0x60, vector(this.#parameters.map((type) => typeBytes[type])), vector([])];
  }

  /** Its entry in the code section. */
  get code(): Code {
    const locals = vector(this.#locals.map((type) => [1, typeBytes[type]]));
    const bytes = flat([locals, this.#body, 0x0b]);
    return [unsigned(bytes.length), bytes];
  }
}

/** A parameter or local variable. */
export class Local {
  readonly #index: number[];

  constructor(index: number) {
    this.#index = unsigned(index);
  }

  get get(): Code {
    return [0x20, this.#index];
  }

  set(value: Code): Code {
    return [value, 0x21, this.#index];
  }

  /** Sets it, and is the value as well. */
  tee(value: Code): Code {
    return [value, 0x22, this.#index];
  }
}

/** Runs `body` for as long as `condition`, an i32 computed after it, is not zero. */
export function doWhile(body: Code, condition: Code): Code {
  return [0x03, 0x40, body, condition, 0x0d, 0, 0x0b];
}

function vector(entries: readonly Code[]): Code {
  return [unsigned(entries.length), entries];
}

function section(id: number, entries: readonly Code[]): Code {
  const bytes = flat(vector(entries));
  return [id, unsigned(bytes.length), bytes];
}

/** A module that exports `functions` by name, and a memory of `pages` × 64 KiB that never grows as `memory`. */
export function assembleModule(functions: readonly WasmFunction[], pages: number): Uint8Array<ArrayBuffer> {
  const exported = (name: string, kind: number, index: number): Code => {
    const bytes = [...new TextEncoder().encode(name)];
    return [vector(bytes), kind, unsigned(index)];
  };
  return Uint8Array.from(
    flat([
      [0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0], // magic, version
      section(
        1,
        functions.map((one) => one.signature),
      ),
      section(
        3,
        functions.map((_, index) => unsigned(index)),
      ),
      section(5, [[1, unsigned(pages), unsigned(pages)]]),
      section(7, [exported("memory", 2, 0), ...functions.map((one, index) => exported(one.name, 0, index))]),
      section(
        10,
        functions.map((one) => one.code),
      ),
    ]),
  );
}
