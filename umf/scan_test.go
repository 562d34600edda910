package umf

import (
	"errors"
	"strings"
	"testing"
)

// nested returns n arrays in each other.
func nested(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }

func TestScanAccepts(t *testing.T) {
	tests := map[string]string{
		"empty":             `{}`,
		"white space":       " \t\r\n{ \t\r\n} \t\r\n",
		"every value":       `{"a":"","b":0,"c":true,"d":false,"e":null,"f":[],"g":{}}`,
		"white space in it": "{ \"to\" : [ 1 , { \"a\" : 2 , \"b\" : [ ] } , { } ] , \"mid\" : \"\" }",
		"numbers":           `{"body":[0,-0,1,-1,10,0.0,1.50,-1e5,1E+5,1e-05,0e0,123456789012345678901234567890,1e400]}`,
		"escapes":           `{"body":"\"\\\/\b\f\n\r\t\u0000\uABCD\uabcd\ud83d\ude00\ud800"}`,
		"escaped quote":     `{"body":"12345\"7","mid":"1234567\\","rmid":"\\\""}`,
		"UTF-8":             `{"body":"é€😀` + "\u007f\u2028\ufeff\U0010ffff" + `"}`,
		"deepest":           `{"body":` + nested(MaxDepth-1) + `}`,
		"wide":              `{"body":[` + strings.Repeat("[[]],", 5000) + `[]]}`,
		"many keys":         `{"k":1` + strings.Repeat(`,"k":1`, 5000) + `}`,
	}
	for name, text := range tests {
		t.Run(name, func(t *testing.T) {
			mustScan(t, text)
		})
	}
}

// TestScanRejects gives texts in which the first wrong byte is marked by a ¦.
func TestScanRejects(t *testing.T) {
	tests := map[string]struct {
		text   string
		reason fault
	}{
		"nothing":                     {`¦`, faultEnd},
		"white space":                 {` ¦`, faultEnd},
		"null":                        {`¦null`, faultObject},
		"empty string":                {`¦""`, faultObject},
		"array":                       {` ¦[{}]`, faultObject},
		"no JSON":                     {`¦to`, faultObject},
		"byte order mark":             {"¦\ufeff{}", faultObject},
		"NUL before":                  {"¦\x00{}", faultObject},
		"NUL after":                   {"{}¦\x00", faultTrailing},
		"second value":                {`{} ¦{}`, faultTrailing},
		"brace too many":              {`{}¦}`, faultTrailing},
		"brace missing":               {`{¦`, faultEnd},
		"end after key":               {`{"to"¦`, faultEnd},
		"end after colon":             {`{"to":¦`, faultEnd},
		"end after value":             {`{"to":1¦`, faultEnd},
		"end after comma":             {`{"to":1,¦`, faultEnd},
		"end in key":                  {`{"to¦`, faultEnd},
		"end in nested":               {`{"to":{"a":[1,{"b":¦`, faultEnd},
		"end in array":                {`{"to":[1¦`, faultEnd},
		"end in object":               {`{"to":{"a":1¦`, faultEnd},
		"key without quotes":          {`{¦to:1}`, faultKey},
		"key in single quotes":        {`{¦'to':1}`, faultKey},
		"number as key":               {`{¦1:1}`, faultKey},
		"comma first":                 {`{¦,"a":1}`, faultKey},
		"comma last":                  {`{"a":1,¦}`, faultKey},
		"two commas":                  {`{"a":1,¦,"b":1}`, faultKey},
		"nested key":                  {`{"a":{"b":1,¦}}`, faultKey},
		"no colon":                    {`{"a"¦,1}`, faultColon},
		"nested no colon":             {`{"a":{"b"¦}}`, faultColon},
		"no value":                    {`{"a":¦}`, faultValue},
		"no comma":                    {`{"a":1 ¦"b":2}`, faultObjectNext},
		"nested no comma":             {`{"a":{"a":1 ¦"b":2}}`, faultObjectNext},
		"bracket for brace":           {`{"a":1¦]`, faultObjectNext},
		"brace for bracket":           {`{"a":[1¦}`, faultArrayNext},
		"array without comma":         {`{"a":[1 ¦2]}`, faultArrayNext},
		"array comma last":            {`{"a":[1,¦]}`, faultValue},
		"array comma first":           {`{"a":[¦,1]}`, faultValue},
		"comment":                     {`{¦/**/}`, faultKey},
		"NaN":                         {`{"a":¦NaN}`, faultValue},
		"undefined":                   {`{"a":¦undefined}`, faultValue},
		"literal in upper case":       {`{"a":¦True}`, faultValue},
		"literal cut":                 {`{"a":tru¦}`, faultLiteral},
		"literal wrong":               {`{"a":fals¦y}`, faultLiteral},
		"literal too long":            {`{"a":null¦l}`, faultObjectNext},
		"end in literal":              {`{"a":nul¦`, faultEnd},
		"plus":                        {`{"a":¦+1}`, faultValue},
		"leading zero":                {`{"a":0¦1}`, faultObjectNext},
		"leading zero after minus":    {`{"a":-0¦1}`, faultObjectNext},
		"leading point":               {`{"a":¦.5}`, faultValue},
		"trailing point":              {`{"a":5.¦}`, faultNumber},
		"minus":                       {`{"a":-¦}`, faultNumber},
		"two minuses":                 {`{"a":-¦-1}`, faultNumber},
		"exponent without digits":     {`{"a":1e¦}`, faultNumber},
		"exponent sign only":          {`{"a":1e+¦}`, faultNumber},
		"fraction in exponent":        {`{"a":1e1¦.5}`, faultObjectNext},
		"end in number":               {`{"a":-¦`, faultEnd},
		"end in fraction":             {`{"a":1.¦`, faultEnd},
		"end in exponent":             {`{"a":1e¦`, faultEnd},
		"hexadecimal":                 {`{"a":0¦x10}`, faultObjectNext},
		"infinity":                    {`{"a":-¦Infinity}`, faultNumber},
		"newline in string":           {"{\"a\":\"1234567890¦\n\"}", faultControl},
		"NUL in string":               {"{\"a\":\"¦\x00\"}", faultControl},
		"U+001F in key":               {"{\"a¦\x1f\":1}", faultControl},
		"unknown escape":              {`{"a":"\¦x41"}`, faultEscape},
		"escape in upper case":        {`{"a":"\¦N"}`, faultEscape},
		"escaped control":             {"{\"a\":\"\\¦\n\"}", faultEscape},
		"short unicode escape":        {`{"a":"\u12¦"}`, faultEscape},
		"unicode escape no hex":       {`{"a":"\u12¦g4"}`, faultEscape},
		"end in escape":               {`{"a":"\¦`, faultEnd},
		"end in unicode escape":       {`{"a":"\u00¦`, faultEnd},
		"end in string":               {`{"a":"abc¦`, faultEnd},
		"escaped last quote":          {`{"a":"abc\"}¦`, faultEnd},
		"too deep":                    {`{"a":` + strings.Repeat("[", MaxDepth-1) + "¦[" + strings.Repeat("]", MaxDepth) + `}`, faultDepth},
		"too deep objects":            {strings.Repeat(`{"a":`, MaxDepth) + `¦{}` + strings.Repeat(`}`, MaxDepth), faultDepth},
		"200,000 arrays":              {`{"a":` + strings.Repeat("[", MaxDepth-1) + "¦" + strings.Repeat("[", 200_000), faultDepth},
		"not UTF-8 in string":         {"{\"a\":\"abc¦\xff\"}", faultUTF8},
		"not UTF-8 in key":            {"{\"¦\xc3\":1}", faultUTF8},
		"not UTF-8 after the object":  {"{}¦\x80", faultUTF8},
		"overlong UTF-8":              {"{\"a\":\"¦\xc0\xaf\"}", faultUTF8},
		"surrogate in UTF-8":          {"{\"a\":\"¦\xed\xa0\x80\"}", faultUTF8},
		"UTF-8 beyond Unicode":        {"{\"a\":\"¦\xf4\x90\x80\x80\"}", faultUTF8},
		"UTF-8 cut":                   {"{\"a\":\"¦\xf0\x9f\x98", faultUTF8},
		"fault before the bad UTF-8":  {"{\"a\":¦x\"\xff\"}", faultValue},
		"fault after the bad UTF-8":   {"{\"a\":\"¦\xff\",}", faultUTF8},
		"bad UTF-8 in a literal":      {"{\"a\":tr¦\xff", faultUTF8},
		"UTF-16":                      {"¦\xff\xfe{\x00}\x00", faultUTF8},
		"no-break space":              {"{¦\u00a0}", faultKey},
		"vertical tab is no space":    {"{¦\v}", faultKey},
		"form feed after the message": {"{}¦\f", faultTrailing},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			before, after, marked := strings.Cut(test.text, "¦")
			if !marked {
				t.Fatal("no mark")
			}
			e := *mustScan(t, `{"to":"x","unknown":1}`)
			err := Scan([]byte(before+after), &e)
			var syntax *SyntaxError
			if !errors.As(err, &syntax) {
				t.Fatalf("error %v", err)
			}
			if want := test.reason.at(len(before)); syntax.Error() != want.Error() {
				t.Errorf("got %q, want %q", syntax, want)
			}
			if e.Has(To) || string(e.AppendShort(nil)) != "{}" {
				t.Error("envelope is not empty after an error")
			}
		})
	}
}

func TestScanTooLong(t *testing.T) {
	var e Envelope
	err := Scan(make([]byte, MaxText+1), &e) // never touched, so no memory is used
	var syntax *SyntaxError
	if !errors.As(err, &syntax) || syntax.Offset != MaxText || syntax.Reason != faultReasons[faultLength] {
		t.Errorf("got %v", err)
	}
}

func TestScanFields(t *testing.T) {
	for f := range fieldCount {
		for _, key := range []string{f.Long(), f.Short()} {
			e := mustScan(t, `{"`+key+`":17}`)
			for other := range fieldCount {
				if e.Has(other) != (other == f) {
					t.Errorf("%s: Has(%v) is %v", key, other, e.Has(other))
				}
			}
			if string(e.Raw(f)) != "17" {
				t.Errorf("%s: Raw is %q", key, e.Raw(f))
			}
			if short := key == f.Short(); e.IsShort() != short {
				t.Errorf("%s: IsShort is %v", key, e.IsShort())
			}
		}
	}
}

// TestScanChooses is about fields that a message has more than once.
func TestScanChooses(t *testing.T) {
	tests := map[string]struct {
		text, from string
		others     string // what goes on besides from
	}{
		"last of equal keys":         {`{"frm":1,"frm":2}`, `2`, ``},
		"last of three":              {`{"from":1,"from":2,"from":3}`, `3`, ``},
		"long over short":            {`{"from":1,"frm":2}`, `1`, ``},
		"long over short, turned":    {`{"frm":2,"from":1}`, `1`, ``},
		"last long over short":       {`{"from":1,"frm":2,"from":3,"frm":4}`, `3`, ``},
		"short over falsy long":      {`{"from":"","frm":2}`, `2`, ``},
		"short over null long":       {`{"frm":2,"from":null}`, `2`, ``},
		"last long is falsy":         {`{"from":1,"frm":2,"from":0}`, `2`, ``},
		"falsy long over falsy":      {`{"from":false,"frm":0}`, `false`, ``},
		"escaped key is the key":     {`{"\u0066r\u006f\u006d":1}`, `1`, ``},
		"escaped and plain":          {`{"frm":1,"\u0066rm":2}`, `2`, ``},
		"case matters":               {`{"From":2,"frm":1,"FRM":3}`, `1`, `,"From":2,"FRM":3`},
		"spaces matter":              {`{"frm":1,"frm ":3}`, `1`, `,"frm ":3`},
		"unknown: last, first place": {`{"a":1,"b":2,"a":3,"frm":1}`, `1`, `,"a":3,"b":2`},
		"unknown, escaped":           {`{"\u0061":1,"b":2,"a":3,"frm":1}`, `1`, `,"\u0061":3,"b":2`},
		"unknown, lone surrogates":   {`{"\ud800":1,"\ud801":2,"\uD800":3,"frm":1}`, `1`, `,"\ud800":3,"\ud801":2`},
		"unknown, very long escapes": {`{"` + strings.Repeat(`\u0061`, 100) + `":1,"a":2,"frm":1}`, `1`, `,"` + strings.Repeat(`\u0061`, 100) + `":1,"a":2`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			e := mustScan(t, test.text)
			if got := string(e.Raw(From)); got != test.from {
				t.Errorf("from is %s, want %s", got, test.from)
			}
			want := `{"frm":` + test.from + test.others + `}`
			if e.IsShort() {
				want = test.text // it chooses nothing
			}
			if got := string(e.AppendShort(nil)); got != want {
				t.Errorf("sent on as %s, want %s", got, want)
			}
		})
	}
}

func TestIsShort(t *testing.T) {
	tests := map[string]bool{
		`{}`:                             true,
		` { "to" : 1 } `:                 true,
		`{"bdy":{"body":1,"a":1,"a":1}}`: true, // values are not looked into
		`{"to":"\u0061"}`:                true,
		`{"to":1,"rmi":2,"x":3}`:         true,
		`{"1":1,"2":1,"3":1,"4":1,"5":1,"6":1,"7":1,"8":1}`:       true,
		`{"1":1,"2":1,"3":1,"4":1,"5":1,"6":1,"7":1,"8":1,"9":1}`: false,
		`{"x":1,"x":1}`:      false,
		`{"x":1,"\u0078":1}`: false,
		`{"x\n":1}`:          false,
		`{"to":1,"to":1}`:    false,
		`{"from":1}`:         false,
		`{"\u0074o":1}`:      false,
	}
	for text, want := range tests {
		if got := mustScan(t, text).IsShort(); got != want {
			t.Errorf("IsShort of %s is %v", text, got)
		}
	}
}

func TestText(t *testing.T) {
	tests := []struct {
		raw, want string
		ok, alias bool
	}{
		{`"plain é😀"`, "plain é😀", true, true},
		{`""`, "", true, true},
		{`"a\u00e9\n\/\"\\\ud83d\ude00b"`, "aé\n/\"\\😀b", true, false},
		{`"\b\f\r\t"`, "\b\f\r\t", true, false},
		{`"\ud800a\udc00"`, "\ufffda\ufffd", true, false},
		{`"\ud800\ud800\udc00"`, "\ufffd\U00010000", true, false},
		{`17`, "", false, false},
		{`null`, "", false, false},
		{`["a"]`, "", false, false},
	}
	for _, test := range tests {
		e := mustScan(t, `{"to":`+test.raw+`}`)
		buf := make([]byte, 3, 64)
		got, ok := e.Text(To, buf)
		if string(got) != test.want || ok != test.ok {
			t.Errorf("Text of %s is %q, %v", test.raw, got, ok)
		}
		if ok && len(got) > 0 && (&got[0] == &e.Raw(To)[1]) != test.alias {
			t.Errorf("Text of %s: in the text itself: %v", test.raw, !test.alias)
		}
	}
	if _, ok := mustScan(t, `{}`).Text(To, nil); ok {
		t.Error("a field that is absent has a text")
	}
}

func TestFalsy(t *testing.T) {
	falsies := []string{`null`, `false`, `""`, `0`, `-0`, `0.0`, `-0.00`, `0e5`, `0E-5`, `0.0e99`, `1e-400`, `-2e-324`, `2e-324`, `0.` + strings.Repeat("0", 400) + `1`}
	truths := []string{`true`, `"0"`, `" "`, `"\u0000"`, `{}`, `[]`, `1`, `-1`, `0.1`, `5e-324`, `1e-320`, `1e400`}
	for _, raw := range falsies {
		if !mustScan(t, `{"body":`+raw+`}`).Falsy(Body) {
			t.Errorf("%s is not falsy", raw)
		}
	}
	for _, raw := range truths {
		if mustScan(t, `{"body":`+raw+`}`).Falsy(Body) {
			t.Errorf("%s is falsy", raw)
		}
	}
	if !mustScan(t, `{}`).Falsy(Body) {
		t.Error("absent is not falsy")
	}
}
