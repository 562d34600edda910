package accounts

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/nats-io/nats-server/v2/conf"
	"github.com/nats-io/nats-server/v2/server"

	"hydrant/bus/scheme"
)

var names = []scheme.Service{"chat", "orders", "a-b_c"}

// forms are both ways to write it.
var forms = map[string]Config{"isolated": {Services: names}, "shared": {Services: names, Shared: true}}

func textOf(t *testing.T, c Config) string {
	t.Helper()
	text, err := c.Text()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// passwords set a user's name as its password.
func passwords(c Config) string {
	var b strings.Builder
	for _, user := range c.Users() {
		fmt.Fprintf(&b, "%s: %q\n", Variable(user), user)
	}
	return b.String()
}

// withPasswords puts them where the file with them is included.
func withPasswords(c Config, text string) string {
	return strings.Replace(text, "include \""+PasswordsFile+"\"\n", passwords(c), 1)
}

// parsed is a configuration as nats-server's own parser reads it.
func parsed(t *testing.T, c Config, text string) map[string]any {
	t.Helper()
	all, err := conf.Parse(withPasswords(c, text))
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// TestRefusedServices: names that would be another's user, account or variable.
func TestRefusedServices(t *testing.T) {
	for _, services := range [][]scheme.Service{{"edge"}, {"setup"}, {"admin"}, {"sys"}, {"a", "a"}, {"a.b"}, {""}, {"*"}, {`a"b`}} {
		c := Config{Services: services}
		if text, err := c.Text(); !errors.Is(err, ErrServices) {
			t.Errorf("%q: %v, %s", services, err, text)
		}
	}
}

// TestServersTakeIt: nats-server reads what is written, for any number of services.
func TestServersTakeIt(t *testing.T) {
	for _, shared := range []bool{false, true} {
		for n := range len(names) + 1 {
			c := Config{Services: names[:n], Shared: shared}
			if _, err := load(t, c, textOf(t, c)); err != nil {
				t.Errorf("%d services, shared %v: %v", n, shared, err)
			}
		}
	}
}

// load has nats-server read a text.
func load(t testing.TB, c Config, text string) (*server.Options, error) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "nats.conf")
	all := "listen: 127.0.0.1:-1\njetstream { store_dir: " + fmt.Sprintf("%q", t.TempDir()) + " }\n" + withPasswords(c, text)
	if err := os.WriteFile(file, []byte(all), 0o600); err != nil {
		t.Fatal(err)
	}
	return server.ProcessConfigFile(file)
}

// TestOnlyWhatTheGuideLists: what is written gives each user, and each account, what the
// list has, and nothing else.
func TestOnlyWhatTheGuideLists(t *testing.T) {
	for form, c := range forms {
		for _, fault := range judge(c, parsed(t, c, textOf(t, c))) {
			t.Errorf("%s: %s", form, fault)
		}
	}
}

// TestEachLineMatters: a line with a subject that is made wider in any way, or goes to
// more accounts, is a fault that [TestOnlyWhatTheGuideLists] finds.
func TestEachLineMatters(t *testing.T) {
	for form, c := range forms {
		lines := strings.Split(textOf(t, c), "\n")
		tried := 0
		for i, line := range lines {
			for _, wider := range widened(line) {
				tried++
				changed := slices.Clone(lines)
				changed[i] = wider
				if len(judge(c, parsed(t, c, strings.Join(changed, "\n")))) == 0 {
					t.Errorf("%s: line %d %s may as well be %s", form, i+1, line, wider)
				}
			}
		}
		if tried < 500 {
			t.Errorf("%s: %d lines were widened", form, tried)
		}
	}
}

// widened are the ways to make a line wider.
func widened(line string) (all []string) {
	at := strings.Index(line, `"`)
	if at < 0 || strings.HasPrefix(line, "include") || strings.HasPrefix(strings.TrimSpace(line), "#") {
		return nil
	}
	if strings.Contains(line, "allow_responses") {
		return []string{strings.ReplaceAll(line, "max: 1", "max: -1"), strings.ReplaceAll(line, `expires: "1`, `expires: "91`)}
	}
	if strings.Contains(line, "user:") { // a user that has no permissions may do all
		if i := strings.Index(line, ", permissions"); i >= 0 {
			return []string{line[:i] + ", other: {"}
		}
		return nil
	}
	if i := strings.Index(line, ", accounts: ["); i >= 0 {
		end := i + strings.Index(line[i:], "]") + 1
		all = append(all, line[:i]+line[end:]) // to all accounts
	}
	subject, _, _ := strings.Cut(line[at+1:], `"`)
	tokens := strings.Split(subject, ".")
	with := func(tokens []string) {
		if wide := strings.Join(tokens, "."); wide != subject {
			all = append(all, strings.Replace(line, `"`+subject+`"`, `"`+wide+`"`, 1))
		}
	}
	for i := range tokens {
		with(append(slices.Clone(tokens[:i]), ">"))
		if tokens[i] != ">" {
			one := slices.Clone(tokens)
			one[i] = "*"
			with(one)
		}
	}
	return all
}

// TestGuideListsIt: the guide has every subject of a service.
func TestGuideListsIt(t *testing.T) {
	guide, err := os.ReadFile("../../deploy/README.md")
	if err != nil {
		t.Fatal(err)
	}
	r := serviceRights(false)
	for _, subject := range slices.Concat(r.publish, r.subscribe, ownServiceRights.publish, ownServiceRights.subscribe) {
		if !strings.Contains(string(guide), "`"+subject+"`") {
			t.Errorf("the guide does not say %s", subject)
		}
	}
}
