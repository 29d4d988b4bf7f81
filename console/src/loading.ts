import { useCallback, useEffect, useState } from "preact/hooks";
import { ApiError } from "./api.ts";

export interface Loaded<T> {
  readonly value: T | undefined;
  readonly error: ApiError | undefined;
  readonly reload: () => void;
}

/** Loads once, and again when `reload` is called; an answer that comes after a newer one was asked for is dropped. */
export function useLoaded<T>(load: () => Promise<T>, about: readonly unknown[] = []): Loaded<T> {
  const [state, setState] = useState<{ value?: T; error?: ApiError }>({});
  const [round, setRound] = useState(0);
  useEffect(() => {
    let current = true;
    load().then(
      (value) => current && setState({ value }),
      (error: unknown) => current && setState((before) => ({ ...before, error: asApiError(error) })),
    );
    return () => {
      current = false;
    };
  }, [round, ...about]);
  return { value: state.value, error: state.error, reload: useCallback(() => setRound((each) => each + 1), []) };
}

export function asApiError(error: unknown): ApiError {
  return error instanceof ApiError ? error : new ApiError("UNREACHABLE", String(error));
}
