import type { ApiError } from "../api.ts";
import { useSettings } from "../settings.tsx";
import { isTextKey } from "../text/text.ts";

/** Tells of a refusal, in the reader's language where its code is known. */
export function Problem({ error }: { readonly error: ApiError | undefined }) {
  const { text } = useSettings();
  if (error === undefined) return null;
  const key = `error.${error.code}`;
  return (
    <p class="problem" role="alert">
      {isTextKey(key) ? text(key) : text("error.other", { message: error.message, code: error.code })}
    </p>
  );
}
