package accounts

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"hydrant/bus/embedded"
	"hydrant/bus/local"
	"hydrant/bus/scheme"
)

// inside are the users of the server inside a node: the list by hand, and what they get.
var inside = map[string]struct {
	list rights
	got  scheme.Permissions
}{
	scheme.UserService: {ownServiceRights, scheme.OwnServicePermissions()},
	scheme.UserEdge:    {ownEdgeRights, scheme.OwnNodePermissions(Streams)},
}

// judgeOwn compares permissions with the list.
func judgeOwn(got scheme.Permissions, list rights) (fault string) {
	want := spelled(list, "")
	for what, lists := range map[string][2][]string{"publish": {got.Publish, want.publish}, "subscribe": {got.Subscribe, want.subscribe}} {
		have := covers(lists[0])
		if i := have.differs(covers(lists[1])); i >= 0 {
			return fmt.Sprintf("%s %s: %v", what, universe()[i], have.has(i))
		}
	}
	return ""
}

// TestOwnServerRefuses: the server inside a node, too, takes of each user what the list
// has, and nothing else, whatever subject is known.
func TestOwnServerRefuses(t *testing.T) {
	dir := t.TempDir()
	s, err := embedded.Start(embedded.Options{DataDir: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	})
	for user, o := range inside {
		t.Run(user, func(t *testing.T) {
			password, err := os.ReadFile(local.PasswordFile(dir, user))
			if err != nil {
				t.Fatal(err)
			}
			nc, refused := login(t, s.URL(), user, strings.TrimSpace(string(password)))
			tryAll(t, nc, refused, spelled(o.list, ""))
		})
	}
}

// laterStream reports whether a subject is of one of the streams of a partition, but of the
// first: what is theirs is written by the same line as that one's.
func laterStream(subject string) bool {
	_, number, found := strings.Cut(strings.ReplaceAll(subject, scheme.KeptStreamPrefix, scheme.OutStreamPrefix), scheme.OutStreamPrefix)
	number, _, _ = strings.Cut(number, ".")
	return found && number != "0"
}

// TestEachOwnLineMatters: a subject of a user of the server inside a node that is made
// wider in any way is a fault.
func TestEachOwnLineMatters(t *testing.T) {
	for user, o := range inside {
		if fault := judgeOwn(o.got, o.list); fault != "" {
			t.Errorf("%s may %s", user, fault)
		}
		want := spelled(o.list, "")
		tried := 0
		for what, lists := range map[string][2][]string{"publish": {o.got.Publish, want.publish}, "subscribe": {o.got.Subscribe, want.subscribe}} {
			should := covers(lists[1])
			for _, subject := range slices.DeleteFunc(lists[0], laterStream) {
				for _, line := range widened(`"` + subject + `"`) {
					tried++
					wider := strings.Trim(line, `"`)
					if covers(append(slices.Clone(lists[1]), wider)).differs(should) < 0 {
						t.Errorf("%s: %s %s may as well be %s", user, what, subject, wider)
					}
				}
			}
		}
		if tried < 50 {
			t.Errorf("%s: %d lines were widened", user, tried)
		}
	}
}
