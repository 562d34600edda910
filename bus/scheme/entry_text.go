package scheme

import (
	"encoding/base64"
	"encoding/json"
	"strconv"
)

// Entries are written and read with every resume and checkpoint. So the form in which
// nodes write them is made and read here, at a fifth of what encoding/json takes, which
// reads all else: what another hand has written.

// appendText appends the stored form, as encoding/json would write it.
func (j *entryJSON) appendText(b []byte) []byte {
	b = append(b, '{')
	number := func(key string, n uint64) {
		if n != 0 {
			b = strconv.AppendUint(append(b, key...), n, 10)
		}
	}
	sure := func(key string, is bool) {
		if is {
			b = append(append(b, key...), "true"...)
		}
	}
	at := func(key string, n int64) {
		if n != 0 {
			b = strconv.AppendInt(append(b, key...), n, 10)
		}
	}
	at(`"v":`, int64(j.Form))
	if len(b) > 1 {
		b = append(b, ',')
	}
	b = appendQuoted(append(b, `"n":`...), string(j.Node))
	b = strconv.AppendUint(append(b, `,"s":`...), uint64(j.State), 10)
	number(`,"w":`, j.Holder)
	number(`,"b":`, j.Start)
	number(`,"f":`, j.Floor)
	if j.Seen != nil {
		b = strconv.AppendUint(append(b, `,"e":`...), *j.Seen, 10)
	}
	at(`,"m":`, j.FloorTime)
	at(`,"p":`, j.SeenTime)
	if len(j.Token) > 0 {
		b = base64.StdEncoding.AppendEncode(append(b, `,"t":"`...), j.Token)
		b = append(b, '"')
	}
	if j.Identity != "" {
		b = appendQuoted(append(b, `,"i":`...), j.Identity)
	}
	sure(`,"k":`, j.Acked)
	number(`,"a":`, j.Attempt)
	sure(`,"d":`, j.Doubt)
	sure(`,"g":`, j.TokenOnly)
	at(`,"o":`, j.Opened)
	sure(`,"r":`, j.Back)
	sure(`,"u":`, j.Unsure)
	number(`,"c":`, j.Sure)
	return append(b, '}')
}

// plain reports whether a byte stands for itself in a JSON text, however it is escaped.
func plain(c byte) bool {
	switch c {
	case '"', '\\', '<', '>', '&':
		return false
	}
	return c >= ' ' && c < 0x7f
}

// appendQuoted appends a JSON string.
func appendQuoted(b []byte, s string) []byte {
	for i := range len(s) {
		if !plain(s[i]) {
			text, _ := json.Marshal(s) // a string has a form
			return append(b, text...)
		}
	}
	return append(append(append(b, '"'), s...), '"')
}

// entryKeys are the keys of the stored form in their order.
const entryKeys = "vnswbfemptikadgoruc"

// entryText reads the stored form as nodes write it.
type entryText struct {
	rest []byte
	bad  bool
}

// parse reports whether a text is of that form, and reads it.
func (j *entryJSON) parse(text []byte) bool {
	t := entryText{rest: text}
	t.take("{")
	for i := 0; i < len(entryKeys) && !t.bad; i++ {
		if len(t.rest) < 4 || t.rest[0] != '"' || t.rest[1] != entryKeys[i] || t.rest[2] != '"' || t.rest[3] != ':' {
			continue
		}
		t.rest = t.rest[4:]
		t.field(entryKeys[i], j)
		if len(t.rest) > 0 && t.rest[0] == ',' {
			if t.rest = t.rest[1:]; len(t.rest) == 0 || t.rest[0] != '"' {
				return false
			}
			continue
		}
		break
	}
	t.take("}")
	return !t.bad && len(t.rest) == 0
}

// field reads the value of a key.
func (t *entryText) field(key byte, j *entryJSON) {
	switch key {
	case 'v':
		j.Form = int(t.number(1 << 31))
	case 'n':
		j.Node = NodeID(t.quoted())
	case 's':
		j.State = State(t.number(1 << 8))
	case 'w':
		j.Holder = t.number(0)
	case 'b':
		j.Start = t.number(0)
	case 'f':
		j.Floor = t.number(0)
	case 'e':
		seen := t.number(0)
		j.Seen = &seen
	case 'm':
		j.FloorTime = int64(t.number(1 << 63))
	case 'p':
		j.SeenTime = int64(t.number(1 << 63))
	case 't':
		token, err := base64.StdEncoding.AppendDecode(make([]byte, 0, 33), t.quoted()) // 33: what 32 bytes take with their padding
		j.Token, t.bad = token, t.bad || err != nil
	case 'i':
		j.Identity = string(t.quoted())
	case 'k':
		j.Acked = t.take("true")
	case 'a':
		j.Attempt = t.number(0)
	case 'd':
		j.Doubt = t.take("true")
	case 'g':
		j.TokenOnly = t.take("true")
	case 'o':
		j.Opened = int64(t.number(1 << 63))
	case 'r':
		j.Back = t.take("true")
	case 'u':
		j.Unsure = t.take("true")
	case 'c':
		j.Sure = t.number(0)
	}
}

// take takes a word.
func (t *entryText) take(word string) bool {
	if t.bad || len(t.rest) < len(word) || string(t.rest[:len(word)]) != word {
		t.bad = true
		return false
	}
	t.rest = t.rest[len(word):]
	return true
}

// number takes a number below a bound; 0: any that 64 bits hold.
func (t *entryText) number(below uint64) uint64 {
	n := 0
	for n < len(t.rest) && t.rest[n] >= '0' && t.rest[n] <= '9' {
		n++
	}
	v, err := strconv.ParseUint(string(t.rest[:n]), 10, 64)
	if err != nil || n > 1 && t.rest[0] == '0' || below != 0 && v >= below {
		t.bad = true
		return 0
	}
	t.rest = t.rest[n:]
	return v
}

// quoted takes a string in which each byte stands for itself.
func (t *entryText) quoted() []byte {
	if !t.take(`"`) {
		return nil
	}
	for i, c := range t.rest {
		if c == '"' {
			s := t.rest[:i]
			t.rest = t.rest[i+1:]
			return s
		}
		if !plain(c) {
			break
		}
	}
	t.bad = true
	return nil
}
