import { useState } from "preact/hooks";
import type { ApiError } from "../api.ts";
import { asApiError } from "../loading.ts";
import { useSettings } from "../settings.tsx";
import { Dialog } from "./dialog.tsx";
import { Problem } from "./problem.tsx";

/** What is about to be done, in words: what it means, and by name what it stops or starts. */
export interface Question {
  readonly title: string;
  readonly meaning: string;
  readonly affected: readonly string[];
  readonly stops: boolean;
  readonly verb: string;
  readonly act: () => Promise<unknown>;
}

interface ConfirmProps {
  readonly question: Question;
  readonly onDone: () => void;
  readonly onCancel: () => void;
}

/** Asks before it acts. The focus begins on Cancel, so that Enter alone stops nothing. */
export function Confirm({ question, onDone, onCancel }: ConfirmProps) {
  const { text } = useSettings();
  const [error, setError] = useState<ApiError>();
  const [busy, setBusy] = useState(false);
  const act = async () => {
    setBusy(true);
    setError(undefined);
    try {
      await question.act();
      onDone();
    } catch (cause) {
      setError(asApiError(cause));
      setBusy(false);
    }
  };
  return (
    <Dialog title={question.title} onClose={onCancel}>
      <p>{question.meaning}</p>
      {question.affected.length > 0 && (
        <>
          <p class="label">{text(question.stops ? "confirm.affected" : "confirm.affectedStart")}</p>
          <ul class="affected">
            {question.affected.map((each) => (
              <li key={each}>{each}</li>
            ))}
          </ul>
        </>
      )}
      <Problem error={error} />
      <div class="buttons">
        {/* biome-ignore lint/a11y/noAutofocus: the dialog has just opened, and the focus has to begin somewhere safe. */}
        <button type="button" onClick={onCancel} autoFocus>
          {text("action.cancel")}
        </button>
        <button type="button" class={question.stops ? "danger" : "primary"} disabled={busy} onClick={act}>
          {question.verb}
        </button>
      </div>
    </Dialog>
  );
}
