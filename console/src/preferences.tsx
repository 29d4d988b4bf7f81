import { type Theme, themes, useSettings } from "./settings.tsx";
import { dictionaries, type Language } from "./text/text.ts";

/** Choice of language and theme. */
export function Preferences() {
  const { text, language, setLanguage, theme, setTheme } = useSettings();
  return (
    <div class="preferences">
      <label>
        <span class="hidden">{text("language.label")}</span>
        <select
          name="language"
          value={language}
          onChange={(event) => setLanguage(event.currentTarget.value as Language)}
        >
          {Object.entries(dictionaries).map(([name, dictionary]) => (
            <option key={name} value={name} lang={name}>
              {dictionary.language}
            </option>
          ))}
        </select>
      </label>
      <label>
        <span class="hidden">{text("theme.label")}</span>
        <select name="theme" value={theme} onChange={(event) => setTheme(event.currentTarget.value as Theme)}>
          {themes.map((each) => (
            <option key={each} value={each}>
              {text(`theme.${each}`)}
            </option>
          ))}
        </select>
      </label>
    </div>
  );
}
