package access

import (
	"strings"
	"testing"

	"github.com/golang-jwt/jwt/v5"
)

// TestRulesOfATokenAreKept: the claim umf comes out as it went in, and none is
// passed over because of its form or of what stands beside it.
func TestRulesOfATokenAreKept(t *testing.T) {
	secret := []byte("a secret of a test")
	tokens := NewTokens(one(secret), TokenOptions{Algorithms: []string{"HS256"}})
	deep := strings.Repeat("[", 500) + strings.Repeat("]", 500)
	const rest = `,"sub":"ann","exp":4000000000}`
	for _, test := range []struct{ claims, want string }{
		{`{"a":1` + rest, ``},
		{`{"umf":{"services": ["a"]}` + rest, `{"services": ["a"]}`},
		{`{"umf":null` + rest, `null`},
		{`{"umf":""` + rest, `""`},
		{`{"umf":"{}"` + rest, `"{}"`},
		{`{"umf":[1]` + rest, `[1]`},
		{`{"\u0075mf":{}` + rest, `{}`},
		{`{"UMF":{"services":["*"]}` + rest, ``},
		{`{"umf":{},"UMF":{"services":["*"]},"Umf":1` + rest, `{}`},
		{`{"deep":` + deep + `,"umf":{}` + rest, `{}`},
	} {
		head, method := `{"alg":"HS256","typ":"JWT"}`, jwt.SigningMethodHS256
		encode := func(text string) string { return (&jwt.Token{}).EncodeSegment([]byte(text)) }
		signed := encode(head) + "." + encode(test.claims)
		signature, err := method.Sign(signed, secret)
		if err != nil {
			t.Fatal(err)
		}
		id, err := tokens.Check(signed + "." + encode(string(signature)))
		if err != nil && strings.Contains(test.claims, deep) {
			continue // refused, which is as good
		}
		if err != nil || id.Name != "ann" || id.Rules != test.want {
			t.Errorf("%.80s: %+v, %v; want the rules %q", test.claims, id, err, test.want)
		}
	}
}
