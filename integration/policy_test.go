package integration

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"hydrant/integration/harness"
	"hydrant/integration/harness/world"
)

// S60: a client sends what the rules of its token allow, else those of the node, by
// WebSocket and by POST alike.
func TestRules(t *testing.T) {
	t.Parallel()
	const secret = "a-secret-for-tokens-of-the-tests-0123456789"
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte(secret), 0o600); err != nil {
		t.Fatal(err)
	}
	w := world.Shared(t)
	auth := func(name string) *harness.Node {
		return w.Start(t, name, map[string]string{"EDGE_AUTH": "jwt", "EDGE_AUTH_ALGORITHMS": "HS256", "EDGE_AUTH_KEY_FILE": file})
	}
	one, two := auth("rules one"), auth("rules two")
	dial := func(node *harness.Node, sub string, rules any) *world.Client {
		claims := object{"sub": sub, "exp": time.Now().Add(time.Hour).Unix()}
		if rules != nil {
			claims["umf"] = rules
		}
		token := jwt(t, secret, object{"alg": "HS256"}, claims)
		return world.DialWith(t, node.URL("/"), harness.DialOptions{Header: http.Header{"Authorization": {"Bearer " + token}}})
	}
	denied := func(c *world.Client, m object) {
		t.Helper()
		if answer := c.Call(m); answer.Type() != "error" || answer.At("bdy", "code") != "denied" {
			t.Errorf("%v is answered with %s", m, answer.Raw)
		}
	}
	s, other := w.Serve(t, world.Unique(t)), w.Serve(t, world.Unique(t)+"-other")
	c := dial(one, "ann", object{"services": []string{s.Name}, "clients": "user"})
	c.Send(object{"to": s.Name + ":/", "bdy": 1})
	s.Next()
	denied(c, object{"to": other.Name + ":/", "bdy": 1})
	denied(c, object{"to": other.Name + ":[GET]/", "bdy": 1})
	denied(c, object{"to": "hydra-router:/", "fwd": other.Name + ":/", "bdy": 1})
	denied(c, object{"to": "hydra-router:/queue", "fwd": s.Name + ":/", "bdy": 1})
	denied(c, object{"to": "auth-svcs:[POST]/v1/auth", "bdy": object{"token": "x"}})

	// Sessions of the same user, on any node, and no others.
	same, another := dial(two, "ann", nil), dial(two, "bob", nil)
	mid := c.Send(object{"to": same.Address(), "bdy": "hello"})
	world.Want(t, same.Next(), "mid", mid)
	denied(c, object{"to": another.Address(), "bdy": "hello"})
	another.Quiet()

	// A service that asks is answered, whatever the rules.
	w.Push(t, c.ID, object{"to": c.Address(), "frm": other.Name + ":/", "mid": "question", "bdy": 1})
	c.Next()
	c.Send(object{"to": other.Name + ":/", "rmid": "question", "bdy": 2})
	_, answer := other.Next()
	world.Want(t, answer, "rmid", "question")
	denied(c, object{"to": other.Name + ":/", "rmid": "another", "bdy": 2})
	other.Empty()

	for _, rules := range []any{"open", nil, object{"Services": []string{"*"}}} {
		claims := object{"sub": "ann", "exp": time.Now().Add(time.Hour).Unix(), "umf": rules}
		lines := harness.HeaderLines("Authorization", "Bearer "+jwt(t, secret, object{"alg": "HS256"}, claims))
		if code := closeCode(t, connectPending(t, one, lines)); code != 4401 {
			t.Errorf("rules %v: closed with %d, want 4401", rules, code)
		}
	}

	node := w.Start(t, "rules of the node", map[string]string{"EDGE_POLICY": `{"services":["` + s.Name + `"]}`})
	open := world.Dial(t, node)
	open.Send(object{"to": s.Name + ":/", "bdy": 1})
	s.Next()
	denied(open, object{"to": other.Name + ":/", "bdy": 1})
	for to, want := range map[string]int{s.Name + ":/": http.StatusOK, other.Name + ":/": http.StatusForbidden, c.Address(): http.StatusForbidden, "auth-svcs:/": http.StatusForbidden} {
		if status, _ := postTo(t, node, "send", `{"to":"`+to+`","frm":"web:/","bdy":1}`); status != want {
			t.Errorf("POST to %s: %d, want %d", to, status, want)
		}
	}
	other.Empty()
}

// S60: EDGE_POLICY that is no rule set stops the start, with one line.
func TestRulesThatStopTheStart(t *testing.T) {
	t.Parallel()
	w := world.Shared(t)
	said := refusesToStart(t, w, "no rules", map[string]string{"EDGE_POLICY": `{"services":["a"],"topics":["b"]}`})
	if strings.Count(said, "\n") != 1 || !strings.Contains(said, "EDGE_POLICY") || !strings.Contains(said, "topics") {
		t.Errorf("it says %s", said)
	}
}
