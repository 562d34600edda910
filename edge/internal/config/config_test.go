package config

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestLoadDefaults(t *testing.T) {
	cfg, err := Load()
	if err != nil {
		t.Fatal(err)
	}
	if cfg.Listen != ":5353" || cfg.SessionTTL != 24*time.Hour || cfg.MaxMessage != 1<<20 || cfg.MailboxStreams != 16 || cfg.TLSCert != "" {
		t.Errorf("defaults %+v", cfg)
	}
	fromTags, err := Default()
	if err != nil {
		t.Fatal(err)
	}
	if fromTags.Listen != cfg.Listen || fromTags.AdminListen != DefaultAdminListen {
		t.Errorf("Default %+v", fromTags)
	}
}

func TestLoadErrors(t *testing.T) {
	for _, test := range []struct{ name, value, want string }{
		{"EDGE_LISTNE", ":1", "EDGE_LISTNE is not a setting"},
		{"EDGE_SESSION_TTL", "soon", "EDGE_SESSION_TTL"},
		{"EDGE_SESSION_TTL", "-1s", "EDGE_SESSION_TTL"},
		{"EDGE_MAX_MESSAGE", "1XB", "EDGE_MAX_MESSAGE"},
		{"EDGE_MAX_MESSAGE", "1", "not between"},
		{"EDGE_MAX_HEAD", "1", "not between"},
		{"EDGE_MAX_HEAD", "64KiB", "not between"},
		{"EDGE_MAILBOX_STREAMS", "3", "none of 1, 2, 4"},
		{"EDGE_SIGNATURE", "maybe", "none of off, required"},
		{"EDGE_SIGNATURE", "required", "EDGE_SIGNATURE_KEYS"},
		{"EDGE_SIGNATURE_KEYS", sampleSecret, "sample secret"},
		{"EDGE_SIGNATURE_KEYS_FILE", "/does/not/exist", "EDGE_SIGNATURE_KEYS_FILE"},
		{"EDGE_AUTH", "jwt", "EDGE_AUTH_KEY_FILE"},
		{"EDGE_TRUSTED_PROXIES", "10.0.0.0/33", "EDGE_TRUSTED_PROXIES"},
		{"EDGE_SERVICE_NAME", "a.b", "EDGE_SERVICE_NAME"},
		{"EDGE_DRAIN_GRACE", "-1s", "below zero"},
		{"EDGE_DRAIN_TIMEOUT", "-1s", "below zero"},
		{"EDGE_MAX_CONNECTION_AGE", "-1h", "between 1s and a year"},
		{"EDGE_MAX_CONNECTION_AGE", "10ms", "between 1s and a year"},
		{"EDGE_TLS_CERT", "cert.pem", "go together"},
		{"EDGE_LISTEN", "5353", "no address to listen on"},
		{"EDGE_LISTEN", ":99999", "no address to listen on"},
		{"EDGE_ADMIN_LISTEN", "localhost", "no address to listen on"},
		{"EDGE_NATS_LISTEN", "", "no address to listen on"},
		{"EDGE_PING_INTERVAL", "25", `"25" is not a duration such as`},
		{"EDGE_QUEUE_LIMIT", "many", `"many" is not a whole number`},
		{"EDGE_COMPRESSION", "yes", "true or false"},
		{"EDGE_SESSION_TTL", "1ms", "below 1s"},
		{"EDGE_RATE_MESSAGES", "-1", "EDGE_RATE_MESSAGES"},
		{"EDGE_RATE_MESSAGES", "NaN", "EDGE_RATE_MESSAGES"},
		{"EDGE_RATE_MESSAGES", "+Inf", "EDGE_RATE_MESSAGES"},
		{"EDGE_MAX_CONNECTIONS_PER_ADDRESS", "-1", "EDGE_MAX_CONNECTIONS_PER_ADDRESS"},
		{"EDGE_SERVICE_NAME", "client", "addresses of sessions"},
		{"EDGE_ALLOWED_ORIGINS", "https://a.example,b.example", `"b.example" is no origin`},
		{"EDGE_ALLOWED_ORIGINS", "https://a.example/", "nothing behind"},
		{"EDGE_PROXY_PROTOCOL", "true", "EDGE_TRUSTED_PROXIES"},
		{"EDGE_ALLOWED_ORIGINS", "null", `"null" is no origin`},
		{"EDGE_ALLOWED_ORIGINS", "https://*", "no origin"},
		{"EDGE_ALLOWED_ORIGINS", "https://app.*", "no origin"},
		{"EDGE_ALLOWED_ORIGINS", "*.example", "no origin"},
		{"EDGE_SIGNATURE_KEYS", "one-secret-of-two,,two", "EDGE_SIGNATURE_KEYS: a secret is empty"},
		{"EDGE_SIGNATURE_KEYS", "one-secret-of-two, ", "EDGE_SIGNATURE_KEYS: a secret is empty"},
		{"EDGE_SIGNATURE_KEYS", "k", "EDGE_SIGNATURE_KEYS: a secret is shorter"},
		{"EDGE_SIGNATURE_KEYS", "a-long-secret-of-many, fifteen-letters", "EDGE_SIGNATURE_KEYS: a secret is shorter"},
		{"EDGE_ADMIN_TOKEN", "k", "EDGE_ADMIN_TOKEN: is shorter"},
		{"EDGE_ADMIN_TOKEN", "                    ", "EDGE_ADMIN_TOKEN: begins or ends with"},
		{"EDGE_ADMIN_TOKEN", "a-token-of-many-characters\n", "EDGE_ADMIN_TOKEN: begins or ends with"},
		{"EDGE_ADMIN_HOSTS", "ops.example,*.example", `EDGE_ADMIN_HOSTS: "*.example" is no name`},
		{"EDGE_ADMIN_HOSTS", "ops.example:9353", "neither scheme nor port"},
		{"EDGE_AUTH_EXPIRY", "never", "none of required, optional"},
		{"EDGE_AUTH_JWKS_URL", "file:///keys", "EDGE_AUTH_JWKS_URL"},
		{"EDGE_AUTH_JWKS_URL", "provider.example/keys", "EDGE_AUTH_JWKS_URL"},
		{"EDGE_HTTP_API", "closed", "none of open, key, off"},
		{"EDGE_HTTP_API", "key", "EDGE_HTTP_KEYS_FILE: it and"},
		{"EDGE_HTTP_KEYS_FILE", os.DevNull, "EDGE_HTTP_KEYS_FILE: no key"},
		{"EDGE_HTTP_KEYS_FILE", "/does/not/exist", "EDGE_HTTP_KEYS_FILE"},
		{"EDGE_ADMIN_TOKEN_FILE", os.DevNull, "EDGE_ADMIN_TOKEN_FILE: is empty"},
		{"EDGE_AUTH_ALGORITHMS", "", "EDGE_AUTH_ALGORITHMS"},
		{"EDGE_AUTH_ALGORITHMS", "none", `"none" is none of`},
		{"EDGE_AUTH_ALGORITHMS", "RS256,rs512", `"rs512" is none of`},
		{"EDGE_AUTH_SERVICE", "auth.svcs", "EDGE_AUTH_SERVICE"},
		{"EDGE_RATE_MESSAGES", "1e-12", "EDGE_RATE_MESSAGES"},
		{"EDGE_WRITE_BUFFER", "4294967296GiB", "EDGE_WRITE_BUFFER"},
		{"EDGE_WRITE_BUFFER", "2GiB", "EDGE_WRITE_BUFFER"},
		{"EDGE_SESSION_TTL", "2000000h", "EDGE_SESSION_TTL"},
		{"EDGE_POLICY", " ", "EDGE_POLICY: not a rule set: not JSON"},
		{"EDGE_POLICY", "open", "EDGE_POLICY: not a rule set: not JSON"},
		{"EDGE_POLICY", `{"services":["a"]}{}`, "EDGE_POLICY: not a rule set"},
		{"EDGE_POLICY", `{"Services":["a"]}`, `EDGE_POLICY: not a rule set: unknown member "Services"`},
		{"EDGE_POLICY", `{"services":["a*b"]}`, "EDGE_POLICY: not a rule set"},
	} {
		t.Run(test.name+"="+test.value, func(t *testing.T) {
			t.Setenv(test.name, test.value)
			_, err := Load()
			if !errors.Is(err, ErrConfig) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want %q", err, test.want)
			}
		})
	}
}

// TestKeySetOfSecrets: no key set has a secret, so that HMAC alone would turn every
// client away.
func TestKeySetOfSecrets(t *testing.T) {
	t.Setenv("EDGE_AUTH", "jwt")
	t.Setenv("EDGE_AUTH_JWKS_URL", "https://provider.example/keys")
	for algorithms, want := range map[string]bool{"HS256": false, "HS256,HS512": false, "HS256,RS256": true, "EdDSA": true} {
		t.Setenv("EDGE_AUTH_ALGORITHMS", algorithms)
		if _, err := Load(); (err == nil) != want || !want && !strings.Contains(err.Error(), "EDGE_AUTH_ALGORITHMS: no token") {
			t.Errorf("%s: %v", algorithms, err)
		}
	}
}

// Every mistake is named at once, each on a line of its own.
func TestLoadNamesAllErrors(t *testing.T) {
	t.Setenv("EDGE_LISTNE", ":1")
	t.Setenv("EDGE_QUEUE_LIMIT", "x")
	t.Setenv("EDGE_LISTEN", "x")
	t.Setenv("EDGE_POLICY", "{\"services\":[\"a\\nb\"]}")
	t.Setenv("EDGE_TLS_CERT", "none.pem")
	t.Setenv("EDGE_TLS_KEY", "none.pem")
	_, err := Load()
	for _, name := range []string{"EDGE_LISTNE", "EDGE_QUEUE_LIMIT", "EDGE_LISTEN:", "EDGE_TLS_CERT", "EDGE_POLICY"} {
		if strings.Count(fmt.Sprint(err), name) != 1 {
			t.Errorf("%s is not named once in:\n%v", name, err)
		}
	}
	if strings.Count(fmt.Sprint(err), "\n") != 4 {
		t.Errorf("not a line for each:\n%v", err)
	}
}

// A variable that is there but empty, as compose files make it, is one mistake.
func TestLoadEmptyValue(t *testing.T) {
	t.Setenv("EDGE_QUEUE_LIMIT", "")
	_, err := Load()
	if want := `edge: configuration: EDGE_QUEUE_LIMIT: "" is not a whole number`; fmt.Sprint(err) != want {
		t.Errorf("error\n%v\nwant\n%s", err, want)
	}
}

func TestLoadReadsSecretsFromFiles(t *testing.T) {
	file := filepath.Join(t.TempDir(), "keys")
	if err := os.WriteFile(file, []byte("the-first-secret\r\nthe-second-secret\n\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("EDGE_SIGNATURE", "required")
	t.Setenv("EDGE_SIGNATURE_KEYS_FILE", file)
	t.Setenv("EDGE_ADMIN_TOKEN_FILE", file)
	cfg, err := Load()
	if err != nil {
		t.Fatal(err)
	}
	if len(cfg.SignatureKeys) != 2 || cfg.SignatureKeys[1] != "the-second-secret" || !strings.HasPrefix(cfg.AdminToken, "the-first") {
		t.Errorf("keys %q, token %q", cfg.SignatureKeys, cfg.AdminToken)
	}
}

func TestSizeDecode(t *testing.T) {
	for text, want := range map[string]Size{"0": 0, "17": 17, "64KB": 64000, "64KiB": 65536, "1 MiB": 1 << 20, "2GiB": 2 << 30, "9B": 9} {
		var got Size
		if err := got.Decode(text); err != nil || got != want {
			t.Errorf("Decode(%q) = %d, %v; want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", "MiB", "-1", "1.5MiB", "9999999999GiB", "1 TiB"} {
		var got Size
		if err := got.Decode(text); err == nil {
			t.Errorf("Decode(%q) = %d, want an error", text, got)
		}
	}
}

// TestVariablesAreDocumented keeps every setting in the tables.
func TestVariablesAreDocumented(t *testing.T) {
	guide, err := os.ReadFile("../../../deploy/README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range Variables() {
		if v.Text == "" {
			t.Errorf("%s has no description", v.Name)
		}
		if !strings.Contains(string(guide), "`"+v.Name+"`") {
			t.Errorf("%s is missing in deploy/README.md", v.Name)
		}
	}
}

// TestPrefixDecode: an address is the same one however it is written.
func TestPrefixDecode(t *testing.T) {
	for text, holds := range map[string]string{
		"10.1.2.3": "10.1.2.3", "10.1.2.3/8": "10.9.9.9", "::ffff:10.1.2.3": "10.1.2.3", "::ffff:10.0.0.0/104": "10.1.2.3",
		"2001:db8::/32": "2001:db8::1", " fd00::1 ": "fd00::1",
	} {
		var got Prefix
		if err := got.Decode(text); err != nil || !netip.Prefix(got).Contains(netip.MustParseAddr(holds)) {
			t.Errorf("%q: %v, %v, without %s", text, netip.Prefix(got), err, holds)
		}
	}
	for _, text := range []string{"", "proxy", "10.0.0.0/33"} {
		var got Prefix
		if err := got.Decode(text); err == nil {
			t.Errorf("%q: %v, want an error", text, netip.Prefix(got))
		}
	}
}
