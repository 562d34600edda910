package edge

import (
	"strings"
	"sync"
	"testing"

	"github.com/nats-io/nats.go"

	"hydrant/bus"
	"hydrant/edge/internal/config"
	"hydrant/integration/harness"
)

// TestAuthServiceRefuses: only an answer that is no refusal in any of the forms
// that services have lets a client in.
func TestAuthServiceRefuses(t *testing.T) {
	var mu sync.Mutex
	var text string
	r := run(t, func(cfg *Config) { cfg.Auth = config.AuthService })
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
