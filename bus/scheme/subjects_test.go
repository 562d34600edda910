package scheme

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

func BenchmarkReplySubject(b *testing.B) {
	sid, node := NewSID(), NewNodeID()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ReplySubject(node, sid, `"cfaec0e9-900a-4962-8a01-0614ce343736"`); err != nil {
			b.Fatal(err)
		}
	}
}

const (
	testSID  = "k7abcdefghijklmnopqrstuvwx"
	testNode = "00112233445566778899aabbccddeeff"
)

func TestSubjects(t *testing.T) {
	one := func(s string, err error) string {
		if err != nil {
			return err.Error()
		}
		return s
	}
	for _, c := range []struct{ got, want string }{
		{one(ServiceSubject("echo-svcs")), "umf.v1.svc.echo-svcs"},
		{one(InstanceSubject("echo", "0f")), "umf.v1.inst.echo.0f"},
		{one(MailboxSubject(testSID)), "umf.v1.out.k." + testSID},
		{one(LiveSubject(testSID)), "umf.v1.live.k." + testSID},
		{one(ReplySubject(testNode, testSID, "")), "umf.v1.reply." + testNode + ".k." + testSID + ".m"},
		{one(ReplySubject(testNode, testSID, `"a-1"`)), "umf.v1.reply." + testNode + ".k." + testSID + ".ma-1"},
		{one(ReplySubject(testNode, testSID, `"a.1"`)), "umf.v1.reply." + testNode + ".k." + testSID + ".xImEuMSI"},
		{one(ReplySubject(testNode, testSID, `12`)), "umf.v1.reply." + testNode + ".k." + testSID + ".xMTI"},
		{one(ReplyWildcard(testNode)), "umf.v1.reply." + testNode + ".>"},
		{one(RequestSubject(testNode, "1z")), "umf.v1.req." + testNode + ".1z"},
		{one(RequestWildcard(testNode)), "umf.v1.req." + testNode + ".*"},
		{one(NodeSubject(testNode)), "umf.v1.node." + testNode},
		{one(WorkSubject("echo")), "umf.v1.work.echo"},
		{one(EventSubject(SessionParked, testSID)), "umf.v1.evt.session.parked.k." + testSID},
		{one(EventWildcard(SessionParked)), "umf.v1.evt.session.parked.*.*"},
		{one(EventWildcard("")), "umf.v1.evt.session.>"},
	} {
		if c.got != c.want {
			t.Errorf("got %s, want %s", c.got, c.want)
		}
	}
}

// TestSubjectsRefuse: whatever is not a name gets an error and no subject.
func TestSubjectsRefuse(t *testing.T) {
	build := map[string]struct {
		f   func(s string) (string, error)
		err error
	}{
		"service":        {ServiceSubject, ErrBadService},
		"instance":       {func(s string) (string, error) { return InstanceSubject("echo", s) }, ErrBadInstance},
		"instance of":    {func(s string) (string, error) { return InstanceSubject(s, "0f") }, ErrBadService},
		"mailbox":        {MailboxSubject, ErrBadSID},
		"live":           {LiveSubject, ErrBadSID},
		"reply sid":      {func(s string) (string, error) { return ReplySubject(testNode, s, "") }, ErrBadSID},
		"reply node":     {func(s string) (string, error) { return ReplySubject(s, testSID, "") }, ErrBadNode},
		"reply wildcard": {ReplyWildcard, ErrBadNode},
		"request":        {func(s string) (string, error) { return RequestSubject(testNode, s) }, ErrBadRequestID},
		"request node":   {func(s string) (string, error) { return RequestSubject(s, "1") }, ErrBadNode},
		"requests":       {RequestWildcard, ErrBadNode},
		"node":           {NodeSubject, ErrBadNode},
		"work":           {WorkSubject, ErrBadService},
		"event":          {func(s string) (string, error) { return EventSubject(SessionOpened, s) }, ErrBadSID},
		"event kind":     {func(s string) (string, error) { return EventSubject(SessionEvent(s), testSID) }, ErrBadEvent},
	}
	bad := []string{
		"", "*", ">", ".", "a.b", "a.>", "$JS.API.STREAM.DELETE.UMF_OUT_0", "a\x00b", "a b", "a\r\nPUB x 0\r\n",
		"é", strings.Repeat("a", 5000), testSID + ".", strings.ToUpper(testSID) + "!", testNode + "*",
	}
	for name, b := range build {
		for _, s := range bad {
			if got, err := b.f(s); !errors.Is(err, b.err) || got != "" {
				t.Errorf("%s %.40q: %q, %v", name, s, got, err)
			}
		}
	}
	if _, err := ReplySubject(testNode, testSID, strings.Repeat("m", MaxMid+1)); !errors.Is(err, ErrMidTooLong) {
		t.Error(err)
	}
	if _, err := EventWildcard("nonsense"); !errors.Is(err, ErrBadEvent) {
		t.Error(err)
	}
}

func TestSubjectsParse(t *testing.T) {
	for _, mid := range []string{"", `"a"`, `"` + strings.Repeat("m", 64) + `"`, `"` + strings.Repeat("m", 65) + `"`, `""`, `"`, `"é"`, "12", "null", `"a.*.>"`, "m", "x"} {
		s, err := ReplySubject(testNode, testSID, mid)
		if err != nil {
			t.Fatal(err)
		}
		node, sid, got, err := ParseReplySubject(s)
		if err != nil || node != testNode || sid != testSID || got != mid {
			t.Errorf("%q: %q %q %q %v", s, node, sid, got, err)
		}
	}
	if s, err := ParseServiceSubject("umf.v1.svc.echo"); err != nil || s != "echo" {
		t.Error(s, err)
	}
	if s, i, err := ParseInstanceSubject("umf.v1.inst.echo.0f"); err != nil || s != "echo" || i != "0f" {
		t.Error(s, i, err)
	}
	if s, err := ParseMailboxSubject("umf.v1.out.k." + testSID); err != nil || s != testSID {
		t.Error(s, err)
	}
	if s, err := ParseLiveSubject("umf.v1.live.k." + testSID); err != nil || s != testSID {
		t.Error(s, err)
	}
	if n, id, err := ParseRequestSubject("umf.v1.req." + testNode + ".1z"); err != nil || n != testNode || id != "1z" {
		t.Error(n, id, err)
	}
	if n, err := ParseNodeSubject("umf.v1.node." + testNode); err != nil || n != testNode {
		t.Error(n, err)
	}
	if s, err := ParseWorkSubject("umf.v1.work.echo"); err != nil || s != "echo" {
		t.Error(s, err)
	}
	if e, s, err := ParseEventSubject("umf.v1.evt.session.closed.k." + testSID); err != nil || e != SessionClosed || s != testSID {
		t.Error(e, s, err)
	}
	if sid, fence, err := ParseConsumerName(ConsumerName(testSID, 7, 9)); err != nil || sid != testSID || fence != 7 {
		t.Error(sid, fence, err)
	}
}

func TestSubjectsParseRefuse(t *testing.T) {
	reply := "umf.v1.reply." + testNode + ".k." + testSID
	for _, s := range []string{
		"", "umf", "umf.v1.", "umf.v2.svc.echo", "umf.v1.svc.", "umf.v1.svc.a.b", "umf.v1.svc.*", "umf.v1.svc.>",
		"umf.v1.inst.echo", "umf.v1.inst.echo.", "umf.v1.inst..a", "umf.v1.inst.a.b.c",
		"umf.v1.out.a." + testSID, "umf.v1.out.k" + testSID, "umf.v1.out.k." + testSID + "x", "umf.v1.out.*.*",
		"umf.v1.live.a." + testSID, reply, reply + ".", reply + ".y", reply + ".x", reply + ".xMTI=", reply + ".ma.b",
		reply + ".m\n", reply + ".xImEi", // a mid that has the plain form
		reply + ".x" + strings.Repeat("A", 400),
		strings.Replace(reply, testNode, "x"+testNode[1:], 1) + ".m",
		"umf.v1.req." + testNode, "umf.v1.req." + testNode + ".a.b", "umf.v1.req.x.1", "umf.v1.node.x", "umf.v1.work.a.b",
		"umf.v1.evt.session.k." + testSID, "umf.v1.evt.session.eaten.k." + testSID, "umf.v1.evt.session.opened.a." + testSID,
		"umf.v1.evt.opened.k." + testSID,
		testSID, testSID + "_", testSID + "_7", testSID + "_07_1", testSID + "_-1_1", testSID + "_7_1_2",
	} {
		for name, err := range parseAll(s) {
			if err == nil {
				t.Errorf("%s takes %q", name, s)
			}
		}
	}
}

// parseAll runs every parser.
func parseAll(s string) map[string]error {
	errs := make(map[string]error)
	_, errs["service"] = ParseServiceSubject(s)
	_, _, errs["instance"] = ParseInstanceSubject(s)
	_, errs["mailbox"] = ParseMailboxSubject(s)
	_, errs["live"] = ParseLiveSubject(s)
	_, _, _, errs["reply"] = ParseReplySubject(s)
	_, _, errs["request"] = ParseRequestSubject(s)
	_, errs["node"] = ParseNodeSubject(s)
	_, errs["work"] = ParseWorkSubject(s)
	_, _, errs["event"] = ParseEventSubject(s)
	_, _, errs["consumer"] = ParseConsumerName(s)
	return errs
}

func TestStreamOf(t *testing.T) {
	for _, n := range []int{1, 2, 4, 8, 16, 32} {
		var all string
		for i := range n {
			all += PartitionChars(i, n)
			for _, c := range PartitionChars(i, n) {
				sid := string(c) + testSID[1:]
				if got, err := StreamOf(sid, n); err != nil || got != fmt.Sprintf("UMF_OUT_%d", i) {
					t.Errorf("%c of %d: %q, %v", c, n, got, err)
				}
			}
		}
		if all != sidAlphabet {
			t.Errorf("%d partitions own %q", n, all)
		}
	}
	for _, n := range []int{-1, 0, 3, 12, 64} {
		if _, err := StreamOf(testSID, n); err == nil {
			t.Errorf("%d streams", n)
		}
	}
	if _, err := StreamOf("", 1); !errors.Is(err, ErrBadSID) {
		t.Error(err)
	}
}

// FuzzSubjects: what any builder returns for any input is one literal subject
// of the scheme, which its parser reads back; what any parser takes, its
// builder writes again.
func FuzzSubjects(f *testing.F) {
	f.Add("echo", "0f", `"mid"`)
	f.Add(testSID, testNode, "12")
	f.Add("umf.v1.reply."+testNode+".k."+testSID+".xMTI", "*", ">")
	f.Add("umf.v1.evt.session.opened.k."+testSID, "a\r\nb", "\x00")
	f.Add("umf.v1.inst.a.b", "umf.v1.req."+testNode+".q", strings.Repeat("é", 70))
	f.Fuzz(func(t *testing.T, a, b, c string) {
		literal := func(s string, err error) string {
			if err != nil {
				if s != "" {
					t.Fatalf("%q with %v", s, err)
				}
				return ""
			}
			for i := range len(s) {
				if ch := s[i]; ch <= ' ' || ch >= 0x7f || ch == '*' || ch == '>' {
					t.Fatalf("%q from %q %q %q", s, a, b, c)
				}
			}
			if !strings.HasPrefix(s, root) || strings.Contains(s, "..") || strings.HasSuffix(s, ".") || len(s) > 300 {
				t.Fatalf("%q from %q %q %q", s, a, b, c)
			}
			return s
		}
		if s := literal(ServiceSubject(a)); s != "" {
			if got, err := ParseServiceSubject(s); err != nil || got != a {
				t.Fatal(s)
			}
		}
		if s := literal(InstanceSubject(a, b)); s != "" {
			if x, y, err := ParseInstanceSubject(s); err != nil || x != a || y != b {
				t.Fatal(s)
			}
		}
		if s := literal(ReplySubject(testNode, testSID, c)); s != "" {
			if _, _, mid, err := ParseReplySubject(s); err != nil || mid != c {
				t.Fatal(s)
			}
		}
		literal(ReplySubject(b, a, c))
		literal(MailboxSubject(a))
		literal(RequestSubject(b, c))
		literal(NodeSubject(b))
		literal(WorkSubject(a))
		literal(EventSubject(SessionEvent(b), a))
		for _, s := range []string{a, b, c} {
			rebuild(t, s)
		}
	})
}

// rebuild: a subject that a parser takes is exactly what its builder makes.
func rebuild(t *testing.T, s string) {
	same := func(got string, err error) {
		if err != nil || got != s {
			t.Fatalf("%q parsed and built is %q, %v", s, got, err)
		}
	}
	if x, err := ParseServiceSubject(s); err == nil {
		same(ServiceSubject(x))
	}
	if x, y, err := ParseInstanceSubject(s); err == nil {
		same(InstanceSubject(x, y))
	}
	if x, err := ParseMailboxSubject(s); err == nil {
		same(MailboxSubject(x))
	}
	if x, err := ParseLiveSubject(s); err == nil {
		same(LiveSubject(x))
	}
	if x, y, z, err := ParseReplySubject(s); err == nil {
		same(ReplySubject(x, y, z))
	}
	if x, y, err := ParseRequestSubject(s); err == nil {
		same(RequestSubject(x, y))
	}
	if x, err := ParseNodeSubject(s); err == nil {
		same(NodeSubject(x))
	}
	if x, err := ParseWorkSubject(s); err == nil {
		same(WorkSubject(x))
	}
	if x, y, err := ParseEventSubject(s); err == nil {
		same(EventSubject(x, y))
	}
}
