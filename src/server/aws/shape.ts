import type { SecretBuffer } from "../../crypto/secret-buffer.ts";

/**
 * What a member of a request may be. Lengths count UTF-16 units of a string, bytes of a blob, items of a list; patterns
 * are for the whole string.
 */
export type Shape =
  | {
      readonly kind: "string";
      readonly min?: number;
      readonly max?: number;
      readonly pattern?: RegExp;
      /** The value set of an enumeration. */
      readonly values?: readonly string[];
      /** Never shown in an error. */
      readonly sensitive?: boolean;
    }
  | { readonly kind: "integer"; readonly min?: number; readonly max?: number }
  | { readonly kind: "boolean" }
  /** Unix time in seconds, with a fraction if need be. */
  | { readonly kind: "timestamp" }
  /** Base64 on the wire. A secret one becomes a SecretBuffer, which ends with the call. */
  | { readonly kind: "blob"; readonly min?: number; readonly max?: number; readonly secret?: boolean }
  /** Names and values are strings. */
  | { readonly kind: "map" }
  | { readonly kind: "list"; readonly of: Shape; readonly min?: number; readonly max?: number }
  | { readonly kind: "structure"; readonly members: Members };

/** A member that may be left out; null is the same as left out. */
export interface Optional<S extends Shape = Shape> {
  readonly shape: S;
  readonly required: false;
}

export interface Required<S extends Shape = Shape> {
  readonly shape: S;
  readonly required: true;
}

/** The members of a request or structure, by their names on the wire. */
export type Members = { readonly [name: string]: Optional | Required };

export function optional<const S extends Shape>(shape: S): Optional<S> {
  return { shape, required: false };
}

export function required<const S extends Shape>(shape: S): Required<S> {
  return { shape, required: true };
}

/** The TypeScript value of a shape. */
export type ValueOf<S> = S extends { readonly values: readonly (infer V)[] }
  ? V
  : S extends { readonly kind: "string" }
    ? string
    : S extends { readonly kind: "integer" }
      ? number
      : S extends { readonly kind: "boolean" }
        ? boolean
        : S extends { readonly kind: "timestamp" }
          ? Date
          : S extends { readonly kind: "blob"; readonly secret: true }
            ? SecretBuffer
            : S extends { readonly kind: "blob" }
              ? Buffer
              : S extends { readonly kind: "map" }
                ? Readonly<Record<string, string>>
                : S extends { readonly kind: "list"; readonly of: infer I }
                  ? readonly ValueOf<I>[]
                  : S extends { readonly kind: "structure"; readonly members: infer M }
                    ? InputOf<M>
                    : never;

/** The TypeScript value of a whole request. */
export type InputOf<M> = {
  readonly [N in keyof M as M[N] extends Required ? N : never]: M[N] extends Required<infer S> ? ValueOf<S> : never;
} & {
  readonly [N in keyof M as M[N] extends Optional ? N : never]?: M[N] extends Optional<infer S>
    ? ValueOf<S> | undefined
    : never;
};
