import { type ComponentChildren, createContext } from "preact";
import { useContext, useLayoutEffect, useMemo, useState } from "preact/hooks";
import { type Language, type Text, textIn } from "./text/text.ts";

export type Theme = "system" | "light" | "dark";
export const themes: readonly Theme[] = ["system", "light", "dark"];

interface Settings {
  readonly text: Text;
  readonly language: Language;
  readonly setLanguage: (language: Language) => void;
  readonly theme: Theme;
  readonly setTheme: (theme: Theme) => void;
  /** A moment, in the reader's language and time zone. */
  readonly time: (iso: string) => string;
}

const Context = createContext<Settings | undefined>(undefined);

/** Language and theme: the browser's, until the reader chooses; the choice stays in this browser. */
export function SettingsProvider({ children }: { readonly children: ComponentChildren }) {
  const [language, setLanguage] = useState<Language>(() => stored("language", ["en", "zh"]) ?? browserLanguage());
  const [theme, setTheme] = useState<Theme>(() => stored("theme", themes) ?? "system");
  useLayoutEffect(() => {
    document.documentElement.lang = language === "zh" ? "zh-CN" : "en";
    localStorage.setItem("language", language);
  }, [language]);
  useLayoutEffect(() => {
    if (theme === "system") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme;
    localStorage.setItem("theme", theme);
  }, [theme]);
  const settings = useMemo(() => {
    const format = new Intl.DateTimeFormat(language === "zh" ? "zh-CN" : "en-GB", {
      dateStyle: "medium",
      timeStyle: "medium",
    });
    const time = (iso: string) => format.format(new Date(iso));
    return { text: textIn(language), language, setLanguage, theme, setTheme, time };
  }, [language, theme]);
  return <Context.Provider value={settings}>{children}</Context.Provider>;
}

export function useSettings(): Settings {
  const settings = useContext(Context);
  if (settings === undefined) throw new Error("used outside SettingsProvider");
  return settings;
}

function browserLanguage(): Language {
  return navigator.language.toLowerCase().startsWith("zh") ? "zh" : "en";
}

function stored<T extends string>(name: string, known: readonly T[]): T | undefined {
  const value = localStorage.getItem(name);
  return known.find((each) => each === value);
}
