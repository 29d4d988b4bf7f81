import { useState } from "preact/hooks";
import { type ApiError, api, type Integration } from "../api.ts";
import { asApiError, useLoaded } from "../loading.ts";
import { Confirm, type Question } from "../parts/confirm.tsx";
import { Problem } from "../parts/problem.tsx";
import { Section } from "../parts/section.tsx";
import { Table } from "../parts/table.tsx";
import { useSettings } from "../settings.tsx";

export function IntegrationsView() {
  const { text, time } = useSettings();
  const { value, error, reload } = useLoaded(api.integrations);
  const [question, setQuestion] = useState<Question & { readonly done: string }>();
  const [notice, setNotice] = useState<string>();
  const remove = ({ name }: Integration) =>
    setQuestion({
      title: text("confirm.deleteIntegration", { name }),
      meaning: text("confirm.deleteIntegrationStops"),
      affected: [],
      stops: true,
      verb: text("action.delete"),
      act: () => api.deleteIntegration(name),
      done: text("done.integrationDeleted", { name }),
    });
  const changed = (what: string) => {
    setNotice(what);
    setQuestion(undefined);
    reload();
  };
  return (
    <Section title={text("nav.integrations")} intro={text("integrations.intro")} onRefresh={reload} notice={notice}>
      <Problem error={error} />
      {value !== undefined && (
        <section class="card">
          {value.integrations.length === 0 && <p class="empty">{text("integrations.empty")}</p>}
          {value.integrations.length > 0 && (
            <Table
              caption={text("nav.integrations")}
              columns={[
                text("integrations.name"),
                text("integrations.region"),
                text("integrations.apiKey"),
                text("integrations.masterKey"),
                text("common.created"),
              ]}
              actions
            >
              {value.integrations.map((each) => (
                <tr key={each.name}>
                  <td class="strong">{each.name}</td>
                  <td>{each.region}</td>
                  <td class="mono">{each.apiKey}</td>
                  <td class="mono">{each.masterKey}</td>
                  <td class="nowrap">{time(each.createdAt)}</td>
                  <td class="right">
                    <button type="button" class="danger quiet-button" onClick={() => remove(each)}>
                      {text("action.delete")}
                    </button>
                  </td>
                </tr>
              ))}
            </Table>
          )}
        </section>
      )}
      {value !== undefined && (
        <IntegrationForm
          available={value.available}
          onSaved={(name) => changed(text("done.integrationSaved", { name }))}
        />
      )}
      {question !== undefined && (
        <Confirm question={question} onDone={() => changed(question.done)} onCancel={() => setQuestion(undefined)} />
      )}
    </Section>
  );
}

interface IntegrationFormProps {
  readonly available: boolean;
  readonly onSaved: (name: string) => void;
}

/** The five fields by which a node reaches a key management service. */
function IntegrationForm({ available, onSaved }: IntegrationFormProps) {
  const { text } = useSettings();
  const [error, setError] = useState<ApiError>();
  const save = async (event: SubmitEvent) => {
    event.preventDefault();
    const form = event.currentTarget as HTMLFormElement;
    const fields = new FormData(form);
    const field = (name: string) => String(fields.get(name) ?? "");
    const input = {
      name: field("name"),
      region: field("region"),
      apiKey: field("apiKey"),
      ...(field("masterKey") === "" ? {} : { masterKey: field("masterKey") }),
    };
    setError(undefined);
    try {
      await api.createIntegration(input, field("apiSecret"));
      form.reset();
      onSaved(input.name);
    } catch (cause) {
      setError(asApiError(cause));
    }
  };
  return (
    <form class="card fields" onSubmit={save} autoComplete="off">
      <h2>{text("integrations.new")}</h2>
      {!available && (
        <p class="notice">
          {text("integrations.unavailable")} <code class="command">{text("integrations.command")}</code>
        </p>
      )}
      <fieldset disabled={!available}>
        <legend class="hidden">{text("integrations.new")}</legend>
        <Field name="name" label={text("integrations.name")} maxLength={64} />
        <Field
          name="region"
          label={text("integrations.region")}
          hint={text("integrations.regionHint")}
          maxLength={64}
        />
        <Field
          name="apiKey"
          label={text("integrations.apiKey")}
          hint={text("integrations.apiKeyHint")}
          maxLength={128}
        />
        <Field
          name="apiSecret"
          label={text("integrations.apiSecret")}
          hint={text("integrations.apiSecretHint")}
          maxLength={1024}
          secret
        />
        <Field
          name="masterKey"
          label={text("integrations.masterKey")}
          hint={text("integrations.masterKeyHint")}
          maxLength={2048}
          optional
        />
      </fieldset>
      <Problem error={error} />
      {available && (
        <div class="buttons start">
          <button type="submit" class="primary">
            {text("integrations.submit")}
          </button>
        </div>
      )}
    </form>
  );
}

interface FieldProps {
  readonly name: string;
  readonly label: string;
  readonly hint?: string;
  readonly maxLength: number;
  readonly secret?: boolean;
  readonly optional?: boolean;
}

function Field({ name, label, hint, maxLength, secret = false, optional = false }: FieldProps) {
  const common = {
    id: `integration-${name}`,
    name,
    maxLength,
    spellcheck: false,
    required: !optional,
    ...(hint === undefined ? {} : { placeholder: hint }),
  };
  return (
    <label htmlFor={common.id}>
      <span>{label}</span>
      {secret ? (
        <input type="password" autoComplete="new-password" {...common} />
      ) : (
        <input autoComplete="off" {...common} />
      )}
    </label>
  );
}
