package scheme

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

const (
	testSID  = "k7abcdefghijklmnopqrstuvwx"
	testNode = "00112233445566778899aabbccddeeff"
)

func TestSubjects(t *testing.T) {
	reply := func(mid string) string {
		s, err := ReplySubject(testNode, testSID, mid)
		if err != nil {
			return err.Error()
		}
		return s
	}
	for _, c := range []struct{ got, want string }{
		{ServiceSubject("echo-svcs"), "umf.v1.svc.echo-svcs"},
		{InstanceSubject("echo", "0f"), "umf.v1.inst.echo.0f"},
		{MailboxSubject(testSID), "umf.v1.out.k." + testSID},
		{LiveWildcard(testSID), "umf.v1.live.k." + testSID + ".*"},
		{StoredSubject(testSID), "umf.v1.live.k." + testSID + ".s"},
		{PushedSubject(testSID), "umf.v1.live.k." + testSID + ".p"},
		{ExpirySubject(testSID), "umf.v1.expiry.k." + testSID},
		{SessionKey(testSID), "$KV.UMF_SESSIONS." + testSID},
		{reply(""), "umf.v1.reply." + testNode + ".k." + testSID + ".m"},
		{reply(`"a-1"`), "umf.v1.reply." + testNode + ".k." + testSID + ".ma-1"},
		{reply(`"a.1"`), "umf.v1.reply." + testNode + ".k." + testSID + ".xImEuMSI"},
		{reply(`12`), "umf.v1.reply." + testNode + ".k." + testSID + ".xMTI"},
		{ReplyWildcard(testNode), "umf.v1.reply." + testNode + ".>"},
		{RequestWildcard(testNode), "umf.v1.req." + testNode + ".*"},
		{NodeSubject(testNode), "umf.v1.node." + testNode},
		{WorkSubject("echo"), "umf.v1.work.echo"},
		{EventSubject(SessionParked, testSID), "umf.v1.evt.session.parked.k." + testSID},
		{EventWildcard(SessionParked), "umf.v1.evt.session.parked.*.*"},
		{EventWildcard(""), "umf.v1.evt.session.>"},
	} {
		if c.got != c.want {
			t.Errorf("got %s, want %s", c.got, c.want)
		}
	}
	if _, err := ReplySubject(testNode, testSID, strings.Repeat("m", MaxMid+1)); !errors.Is(err, ErrMidTooLong) {
		t.Error(err)
	}
}

// TestNamesRefuse: whatever is not a name gets an error and is none.
func TestNamesRefuse(t *testing.T) {
	bad := []string{
		"", "*", ">", ".", "a.b", "a.>", "$JS.API.STREAM.DELETE.UMF_OUT_0", "a\x00b", "a b", "a\r\nPUB x 0\r\n",
		"é", strings.Repeat("a", 5000), testSID + ".", strings.ToUpper(testSID) + "!", testNode + "*",
	}
	for name, p := range map[string]struct {
		parse func(s string) (string, error)
		err   error
	}{
		"sid":      {func(s string) (string, error) { id, err := ParseSID(s); return string(id), err }, ErrBadSID},
		"node":     {func(s string) (string, error) { id, err := ParseNodeID(s); return string(id), err }, ErrBadNode},
		"service":  {func(s string) (string, error) { n, err := ParseService(s); return string(n), err }, ErrBadService},
		"instance": {func(s string) (string, error) { id, err := ParseInstance(s); return string(id), err }, ErrBadInstance},
	} {
		for _, s := range bad {
			if got, err := p.parse(s); !errors.Is(err, p.err) || got != "" {
				t.Errorf("%s %.40q: %q, %v", name, s, got, err)
			}
		}
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
	if s, stored, err := ParseLiveSubject("umf.v1.live.k." + testSID + ".p"); err != nil || stored || s != testSID {
		t.Error(s, err)
	}
	if s, err := ParseGoneSubject("umf.v1.gone.k." + testSID); err != nil || s != testSID {
		t.Error(s, err)
	}
	if s, err := ParseExistsSubject(ExistsSubject(testSID)); err != nil || s != testSID {
		t.Error(s, err)
	}
	if s := "umf.v1.req." + testNode + ".1z"; !IsRequestReply(s) {
		t.Error(s)
	}
	if e, s, err := ParseEventSubject("umf.v1.evt.session.closed.k." + testSID); err != nil || e != SessionClosed || s != testSID {
		t.Error(e, s, err)
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
		"umf.v1.evt.opened.k." + testSID, "umf.v1.gone.a." + testSID, testSID,
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
	_, _, errs["live"] = ParseLiveSubject(s)
	_, errs["gone"] = ParseGoneSubject(s)
	_, _, _, errs["reply"] = ParseReplySubject(s)
	_, _, errs["event"] = ParseEventSubject(s)
	if !IsRequestReply(s) {
		errs["request"] = ErrBadSubject
	} else {
		errs["request"] = nil
	}
	return errs
}

func TestParseEvent(t *testing.T) {
	const subject = "umf.v1.evt.session.opened.k." + testSID
	text := func(what, sid, node string) []byte {
		return fmt.Appendf(nil, `{"what":%q,"session":%q,"node":%q,"time":"2026-01-02T03:04:05Z"}`, what, sid, node)
	}
	e, err := ParseEvent(subject, text("opened", testSID, testNode))
	if err != nil || e.What != SessionOpened || e.Session != testSID || e.Node != testNode || e.Time.Year() != 2026 {
		t.Errorf("%+v, %v", e, err)
	}
	for name, bad := range map[string][]byte{
		"another event":   text("parked", testSID, testNode),
		"another session": text("opened", string(NewSID()), testNode),
		"no node":         text("opened", testSID, ""),
		"no JSON":         []byte("opened"),
	} {
		if e, err := ParseEvent(subject, bad); err == nil {
			t.Errorf("%s: %+v", name, e)
		}
	}
}

func TestStreamOf(t *testing.T) {
	for _, n := range []int{1, 2, 4, 8, 16, 32} {
		var all string
		for i := range n {
			all += PartitionChars(i, n)
			for _, c := range PartitionChars(i, n) {
				sid := SID(string(c) + testSID[1:])
				if got := StreamOf(sid, n); got != fmt.Sprintf("UMF_OUT_%d", i) {
					t.Errorf("%c of %d: %q", c, n, got)
				}
			}
			if sid := NewSIDIn(i, n); !validSID(string(sid)) || StreamIndexOf(sid, n) != i {
				t.Errorf("%q is not in partition %d of %d", sid, i, n)
			}
		}
		if all != sidAlphabet {
			t.Errorf("%d partitions own %q", n, all)
		}
	}
	for _, n := range []int{-1, 0, 3, 12, 64} {
		if ValidStreams(n) {
			t.Errorf("%d streams", n)
		}
	}
}

// FuzzSubjects: what any builder returns for any names is one literal subject
// of the scheme, which its parser reads back; what any parser takes, its
// builder writes again.
func FuzzSubjects(f *testing.F) {
	f.Add("echo", "0f", `"mid"`)
	f.Add(testSID, testNode, "12")
	f.Add("umf.v1.reply."+testNode+".k."+testSID+".xMTI", "*", ">")
	f.Add("umf.v1.evt.session.opened.k."+testSID, "a\r\nb", "\x00")
	f.Add("umf.v1.inst.a.b", "umf.v1.req."+testNode+".q", strings.Repeat("é", 70))
	f.Fuzz(func(t *testing.T, a, b, c string) {
		literal := func(s string) {
			for i := range len(s) {
				if ch := s[i]; ch <= ' ' || ch >= 0x7f || ch == '*' || ch == '>' {
					t.Fatalf("%q from %q %q %q", s, a, b, c)
				}
			}
			if !strings.HasPrefix(s, root) || strings.Contains(s, "..") || strings.HasSuffix(s, ".") || len(s) > 300 {
				t.Fatalf("%q from %q %q %q", s, a, b, c)
			}
		}
		service, err1 := ParseService(a)
		instance, err2 := ParseInstance(b)
		if err1 == nil {
			literal(ServiceSubject(service))
			literal(WorkSubject(service))
			if got, err := ParseServiceSubject(ServiceSubject(service)); err != nil || got != service {
				t.Fatal(got)
			}
		}
		if err1 == nil && err2 == nil {
			literal(InstanceSubject(service, instance))
			if x, y, err := ParseInstanceSubject(InstanceSubject(service, instance)); err != nil || x != service || y != instance {
				t.Fatal(x, y)
			}
		}
		if s, err := ReplySubject(testNode, testSID, c); err == nil {
			literal(s)
			if _, _, mid, err := ParseReplySubject(s); err != nil || mid != c {
				t.Fatal(s)
			}
		}
		node, err := ParseNodeID(b)
		if err == nil {
			literal(NodeSubject(node))
			literal(RequestSubject(node, len(a), uint64(len(c))))
			if s := RequestSubject(node, len(a), uint64(len(c))); !IsRequestReply(s) {
				t.Fatal(s)
			}
		}
		if sid, err := ParseSID(a); err == nil {
			literal(MailboxSubject(sid))
			literal(StoredSubject(sid))
			literal(PushedSubject(sid))
			literal(ExpirySubject(sid))
			literal(EventSubject(SessionClosed, sid))
		}
		for _, s := range []string{a, b, c} {
			rebuild(t, s)
		}
	})
}

// rebuild: a subject that a parser takes is exactly what its builder makes.
func rebuild(t *testing.T, s string) {
	same := func(got string) {
		if got != s {
			t.Fatalf("%q parsed and built is %q", s, got)
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
	if x, stored, err := ParseLiveSubject(s); err == nil {
		if stored {
			same(StoredSubject(x))
		} else {
			same(PushedSubject(x))
		}
	}
	if x, y, z, err := ParseReplySubject(s); err == nil {
		got, err := ReplySubject(x, y, z)
		if err != nil {
			t.Fatal(err)
		}
		same(got)
	}
	if x, y, err := ParseEventSubject(s); err == nil {
		same(EventSubject(x, y))
	}
}

func BenchmarkReplySubject(b *testing.B) {
	sid, node := NewSID(), NewNodeID()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ReplySubject(node, sid, `"cfaec0e9-900a-4962-8a01-0614ce343736"`); err != nil {
			b.Fatal(err)
		}
	}
}

// TestRequestSubject: it names loop and number, and cannot be guessed.
func TestRequestSubject(t *testing.T) {
	one, two := RequestSubject(testNode, 3, 1<<40), RequestSubject(testNode, 3, 1<<40)
	if one == two {
		t.Errorf("twice %s", one)
	}
	if loop, n, ok := ParseRequestSubject(one); !ok || loop != 3 || n != 1<<40 {
		t.Errorf("%s: %d, %d, %v", one, loop, n, ok)
	}
	const start = "umf.v1.req." + testNode + "."
	if got := len(one) - len(start+"3_dvbvj1og_"); got > 40 || got < 32 {
		t.Errorf("%s", one)
	}
	secret := strings.Repeat("0", 32)
	for _, bad := range []string{
		"", start, start + "3", start + "3_1", start + "3_1_", start + "3_1_" + secret[1:], start + "3_1_" + secret + "0", start + "-1_1_" + secret,
		start + "a_1_" + secret, start + "3_-_" + secret, start + "3_1_" + secret + "_", "umf.v1.req.x.3_1_" + secret, start + "3_1_" + secret + ".x", start + "99999_1_" + secret,
	} {
		if _, _, ok := ParseRequestSubject(bad); ok {
			t.Errorf("%q is the subject of a request", bad)
		}
	}
}
