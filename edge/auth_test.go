package edge

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/nats-io/nats.go"

	"hydrant/bus"
	"hydrant/integration/harness"
)

// TestTokenKey: what would let anybody sign a token is no key.
func TestTokenKey(t *testing.T) {
	for _, test := range []struct{ text, algorithms, want string }{
		{"a secret\n", "HS256", ""},
		{"", "HS256", "empty"},
		{"\r\n", "HS256,HS512", "empty"},
		{"a secret", "HS256,RS256", "together"},
		{"a secret", "RS256", "no PEM public key"},
	} {
		file := filepath.Join(t.TempDir(), "key")
		if err := os.WriteFile(file, []byte(test.text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := loadTokenKey(&Config{AuthKeyFile: file, AuthAlgorithms: strings.Split(test.algorithms, ",")})
		if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%q for %s: error %v, want %q", test.text, test.algorithms, err, test.want)
		}
	}
}

// TestAuthServiceRefuses: only an answer that is no refusal in any of the forms
// that services have lets a client in.
func TestAuthServiceRefuses(t *testing.T) {
	var mu sync.Mutex
	var text string
	r := run(t, func(cfg *Config) { cfg.Auth = "service" })
	subject, err := bus.ServiceSubject(r.cfg.AuthService)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.nc.Subscribe(subject, func(m *nats.Msg) {
		mu.Lock()
		defer mu.Unlock()
		_ = m.Respond([]byte(text))
	}); err != nil {
		t.Fatal(err)
	}
	const message = `{"to":"a:/","frm":"b:/","mid":"1","bdy":`
	for answer, admitted := range map[string]bool{
		`{"result":{"identity":"ann"}}`:                  true,
		`{"statusCode":200,"result":{"identity":"ann"}}`: true,
		message + `{"identity":"ann"}}`:                  true,
		message + `{"statusCode":200}}`:                  true,
		`{"result":{"error":"no"}}`:                      false,
		`{"result":"no"}`:                                false,
		`no`:                                             false,
		`{"result":{"identity":7}}`:                      false,
		`{"statusCode":401,"result":{}}`:                 false,
		`{"statusCode":"403","result":{}}`:               false,
		`{"statusCode":null,"result":{}}`:                false,
		message + `{"statusCode":401}}`:                  false,
	} {
		mu.Lock()
		text = answer
		mu.Unlock()
		c, err := harness.Dial(t.Context(), r.url, harness.DialOptions{})
		if (err == nil) != admitted {
			t.Errorf("%s: %v, want admitted: %v", answer, err, admitted)
		}
		if err == nil {
			c.Drop()
		} else if !strings.Contains(err.Error(), "4401") {
			t.Errorf("%s: %v", answer, err)
		}
	}
}
