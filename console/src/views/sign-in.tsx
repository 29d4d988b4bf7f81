import { useState } from "preact/hooks";
import { type ApiError, api, type Session } from "../api.ts";
import { asApiError } from "../loading.ts";
import { Problem } from "../parts/problem.tsx";
import { Preferences } from "../preferences.tsx";
import { useSettings } from "../settings.tsx";

interface SignInProps {
  readonly ended: boolean;
  readonly onSession: (session: Session) => void;
}

export function SignIn({ ended, onSession }: SignInProps) {
  const { text } = useSettings();
  const [error, setError] = useState<ApiError>();
  const [busy, setBusy] = useState(false);
  const begin = async (session: () => Promise<Session>) => {
    setBusy(true);
    setError(undefined);
    try {
      onSession(await session());
    } catch (cause) {
      setError(asApiError(cause));
      setBusy(false);
    }
  };
  const withCode = (event: SubmitEvent) => {
    event.preventDefault();
    const form = event.currentTarget as HTMLFormElement;
    const code = String(new FormData(form).get("code") ?? "");
    form.reset();
    void begin(() => api.signInWithCode(code));
  };
  return (
    <main class="sign-in">
      <div class="card">
        <p class="brand">
          <img src="/icon.svg" alt="" width="28" height="28" />
          {text("product")}
        </p>
        <h1>{text("signIn.title")}</h1>
        {ended && error === undefined && (
          <p class="notice" role="status">
            {text("signIn.ended")}
          </p>
        )}
        <p class="intro">{text("signIn.intro")}</p>
        <code class="command">{text("signIn.command")}</code>
        <form onSubmit={withCode}>
          <label>
            <span>{text("signIn.code")}</span>
            <input
              name="code"
              required
              maxLength={40}
              autoComplete="one-time-code"
              autoCapitalize="characters"
              spellcheck={false}
              placeholder="XXXX-XXXX-XXXX"
              class="mono"
            />
            <small>{text("signIn.codeHint")}</small>
          </label>
          <Problem error={error} />
          <button type="submit" class="primary" disabled={busy}>
            {text("signIn.submit")}
          </button>
        </form>
        <p class="or">{text("signIn.or")}</p>
        <button type="button" disabled={busy} onClick={() => begin(api.signInWithCertificate)}>
          {text("signIn.certificate")}
        </button>
      </div>
      <Preferences />
    </main>
  );
}
