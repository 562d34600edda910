package config

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestHTTPKeys: a line has a name, a key and, behind them, a rule set as it stands.
func TestHTTPKeys(t *testing.T) {
	read := func(text string) ([]HTTPKey, error) {
		file := filepath.Join(t.TempDir(), "keys")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return readHTTPKeys(file)
	}
	keys, err := read("# who posts\n\nshop 0123456789abcdef {\"services\": [\"orders\", \"chat\"]}\r\n\tcron,\tfedcba9876543210-cron\nweb , abcdef0123456789 ,{}")
	want := []HTTPKey{{"shop", "0123456789abcdef", `{"services": ["orders", "chat"]}`}, {"cron", "fedcba9876543210-cron", ""}, {"web", "abcdef0123456789", "{}"}}
	if err != nil || !slices.Equal(keys, want) {
		t.Errorf("%+v, %v", keys, err)
	}
	for text, problem := range map[string]string{
		"":                                       "no key",
		"# only this":                            "no key",
		"shop":                                   "shorter",
		"shop k":                                 "line 1: the key of shop is shorter",
		"\nshop do-not-print":                    "line 2: the key of shop is shorter",
		"a.b 0123456789abcdef":                   "line 1 has no name",
		" , 0123456789abcdef":                    "line 1 has no name",
		"a 0123456789abcdef\na fedcba9876543210": "line 2: the name or the key of a is there twice",
		"a 0123456789abcdef\nb 0123456789abcdef": "line 2: the name or the key of b is there twice",
		"a 0123456789abcdef {\"service\":[]}":    "line 1: not a rule set",
		"a 0123456789abcdef null":                "line 1: not a rule set",
		"a 0123456789abcdef -":                   "line 1: not a rule set",
	} {
		if keys, err := read(text); err == nil || !strings.Contains(err.Error(), problem) || strings.Contains(err.Error(), "0123456789abcdef") || strings.Contains(err.Error(), "do-not-print") {
			t.Errorf("%q: %+v, %v", text, keys, err)
		}
	}
}

// TestSecretsWithBlanks: a list that people write is the list that they mean.
func TestSecretsWithBlanks(t *testing.T) {
	t.Setenv("EDGE_SIGNATURE", "required")
	t.Setenv("EDGE_SIGNATURE_KEYS", "the-first-secret,  the-second-secret\t")
	cfg, err := Load()
	if err != nil || !slices.Equal(cfg.SignatureKeys, []string{"the-first-secret", "the-second-secret"}) {
		t.Errorf("%q, %v", cfg.SignatureKeys, err)
	}
}
