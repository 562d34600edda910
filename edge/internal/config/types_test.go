package config

import (
	"log/slog"
	"testing"

	"github.com/kelseyhightower/envconfig"
)

// TestWords: a setting that takes one of a few words takes these, as they are
// written, and none else. The first is the default.
func TestWords(t *testing.T) {
	for name, words := range map[string][]string{
		"EDGE_AUTH":       {"none", "jwt", "service"},
		"EDGE_SIGNATURE":  {"off", "required"},
		"EDGE_RESUME":     {"open", "token"},
		"EDGE_ROUTER_API": {"open", "admin"},
		"EDGE_LOG_FORMAT": {"auto", "text", "json"},
		"EDGE_LOG_LEVEL":  {"info", "debug", "warn", "error"},
	} {
		value := func(cfg *Config) int {
			return map[string]int{
				"EDGE_AUTH": int(cfg.Auth), "EDGE_SIGNATURE": int(cfg.Signature), "EDGE_RESUME": int(cfg.Resume),
				"EDGE_ROUTER_API": int(cfg.RouterAPI), "EDGE_LOG_FORMAT": int(cfg.LogFormat), "EDGE_LOG_LEVEL": int(cfg.LogLevel),
			}[name]
		}
		seen := map[int]bool{}
		for i, word := range words {
			t.Setenv(name, word)
			var cfg Config
			if err := envconfig.Process("EDGE", &cfg); err != nil {
				t.Errorf("%s=%s: %v", name, word, err)
			}
			if got := value(&cfg); seen[got] || (got == 0) != (i == 0) {
				t.Errorf("%s=%s is %d", name, word, got)
			}
			seen[value(&cfg)] = true
		}
		for _, word := range []string{"", " " + words[0], "No" + words[0], "INFO", "info+2"} {
			t.Setenv(name, word)
			if err := process(new(Config)); err == nil {
				t.Errorf("%s=%q is taken", name, word)
			}
		}
		t.Setenv(name, words[0])
	}
}

// TestWordsNamed: each word means what the constant of its name says.
func TestWordsNamed(t *testing.T) {
	for name, value := range map[string]string{
		"EDGE_AUTH": "jwt", "EDGE_AUTH_KEY_FILE": "any", "EDGE_RESUME": "token", "EDGE_ROUTER_API": "admin",
		"EDGE_SIGNATURE": "required", "EDGE_SIGNATURE_KEYS": "a-secret-of-the-test", "EDGE_LOG_FORMAT": "json", "EDGE_LOG_LEVEL": "warn",
	} {
		t.Setenv(name, value)
	}
	cfg, err := Load()
	if err != nil {
		t.Fatal(err)
	}
	if cfg.Auth != AuthJWT || cfg.Resume != ResumeToken || cfg.RouterAPI != RouterAPIAdmin || cfg.Signature != SignatureRequired ||
		cfg.LogFormat != LogJSON || cfg.LogLevel.Level() != slog.LevelWarn {
		t.Errorf("%+v", cfg)
	}
}
