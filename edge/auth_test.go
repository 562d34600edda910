package edge

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
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
