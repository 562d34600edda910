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
	subjects := universe()
	for what, lists := range map[string][2][]string{"publish": {got.Publish, want.publish}, "subscribe": {got.Subscribe, want.subscribe}} {
		have, should := covers(lists[0], subjects), covers(lists[1], subjects)
		for i := range subjects {
			if have[i] != should[i] {
				return fmt.Sprintf("%s %s: %v", what, subjects[i], have[i])
			}
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

// laterStream reports whether a subject is of one of the mailbox streams but the first:
// what is theirs is written by the same line as that one's.
func laterStream(subject string) bool {
	_, number, found := strings.Cut(subject, scheme.OutStreamPrefix)
	number, _, _ = strings.Cut(number, ".")
	return found && number != "0"
}

// TestEachOwnLineMatters: a subject of a user of the server inside a node that is made
// wider in any way is a fault.
func TestEachOwnLineMatters(t *testing.T) {
	subjects := universe()
	for user, o := range inside {
		if fault := judgeOwn(o.got, o.list); fault != "" {
			t.Errorf("%s may %s", user, fault)
		}
		want := spelled(o.list, "")
		tried := 0
		for what, lists := range map[string][2][]string{"publish": {o.got.Publish, want.publish}, "subscribe": {o.got.Subscribe, want.subscribe}} {
			should := covers(lists[1], subjects)
			for _, subject := range slices.DeleteFunc(lists[0], laterStream) {
				for _, line := range widened(`"` + subject + `"`) {
					tried++
					wider := strings.Trim(line, `"`)
					more := false
					for i, s := range subjects {
						more = more || !should[i] && within(wider, s)
					}
					if !more {
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
