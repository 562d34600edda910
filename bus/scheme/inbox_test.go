package scheme

import "testing"

func TestInboxes(t *testing.T) {
	for user, want := range map[string]string{"echo": "_INBOX_echo", "": "_INBOX", "a.b": "_INBOX", "a b": "_INBOX", "*": "_INBOX", UserEdge: NodeInbox} {
		if got := InboxPrefix(user); got != want {
			t.Errorf("%q: %q", user, got)
		}
	}
	for reply, want := range map[string][2]bool{
		"_INBOX.x": {true, false}, "_INBOX_echo.x.y": {true, false}, "_INBOX_edge.x": {true, true}, "_INBOX_edge": {}, "_INBOX_edges.x": {true, false},
		"": {}, "_INBOX": {}, "_INBOX.": {}, "_INBOXES.x": {}, "$KV.UMF_SESSIONS.x": {}, "umf.v1.node.x": {}, "$JS.ACK.UMF_WORK.x.1": {}, "x._INBOX_edge.y": {},
	} {
		if got := [2]bool{IsInbox(reply), IsNodeInbox(reply)}; got != want {
			t.Errorf("%q: %v", reply, got)
		}
	}
}
