package umf

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

// canonicalOf returns the canonical text of a JSON value, by the slow way and,
// if it says that it can, the fast one.
func canonicalOf(t tester, raw string) string {
	t.Helper()
	slow, _ := appendCanonicalValue(nil, []byte(raw))
	if isCanonical([]byte(raw)) && raw != string(slow) {
		t.Errorf("%s taken for canonical, which is %s", raw, slow)
	}
	return string(slow)
}

func TestCanonicalNumbers(t *testing.T) {
	tests := map[string]string{
		"0": "0", "-0": "0", "0.0": "0", "-0.0": "0", "0e10": "0", "-0E-7": "0",
		"1": "1", "-1": "-1", "1.0": "1", "1.50": "1.5", "10": "10", "100e-2": "1", "1E3": "1000", "1e+2": "100",
		"1e20": "100000000000000000000", "1e21": "1e+21", "-1e21": "-1e+21", "1.5e300": "1.5e+300",
		"999999999999999999999": "1e+21", "123456789012345680000": "123456789012345680000",
		"1e-6": "0.000001", "0.000001": "0.000001", "1.5e-6": "0.0000015", "0.0000010": "0.000001",
		"1e-7": "1e-7", "0.0000001": "1e-7", "-1.5e-7": "-1.5e-7", "1e-10": "1e-10", "1e-100": "1e-100",
		"0.00000099999999":     "9.9999999e-7",
		"12345678901234567890": "12345678901234567000", "9007199254740993": "9007199254740992",
		"123456789012345": "123456789012345", "1234567890123456": "1234567890123456",
		"0.1": "0.1", "0.10": "0.1", "0.30000000000000004": "0.30000000000000004", "0.3000000000000000444": "0.30000000000000004",
		"1.7976931348623157e308": "1.7976931348623157e+308", "1e308": "1e+308", "1e309": "null", "-1e400": "null",
		"5e-324": "5e-324", "4.9406564584124654e-324": "5e-324", "1e-400": "0", "-1e-400": "0", "2e-324": "0",
		"4.35": "4.35", "0.000035": "0.000035", "100.001": "100.001",
		"123456789.12345678": "123456789.12345678", "2e-7": "2e-7", "1e23": "1e+23", "0.5e1": "5",
		"1" + strings.Repeat("0", 400): "null", "0." + strings.Repeat("0", 400) + "1": "0",
		"1." + strings.Repeat("0", 1000): "1", "0.1" + strings.Repeat("0", 100): "0.1",
		"9007199254740991": "9007199254740991", "-9007199254740993": "-9007199254740992",
	}
	for raw, want := range tests {
		mustScan(t, `{"body":`+raw+`}`)
		if got := canonicalOf(t, raw); got != want {
			t.Errorf("%.50s is %s, want %s", raw, got, want)
		}
	}
}

func TestCanonicalValues(t *testing.T) {
	tests := map[string]string{
		`{}`: `{}`, `[]`: `[]`, `[ ]`: `[]`, `{ }`: `{}`, `true`: `true`, `false`: `false`, `null`: `null`,
		"[ 1 ,\n[\t],\r{ } , \"a\" ]":                  `[1,[],{},"a"]`,
		"{ \"a\" : 1 , \"b\" : { } }":                  `{"a":1,"b":{}}`,
		`"/\/"`:                                        `"//"`,
		`"\u0041\u00e9\u20ac\ud83d\ude00"`:             `"Aé€😀"`,
		`"é€😀<>&'` + "\u007f\u2028\u2029\ufeff" + `"`:  `"é€😀<>&'` + "\u007f\u2028\u2029\ufeff" + `"`,
		`"\b\t\n\f\r\"\\"`:                             `"\b\t\n\f\r\"\\"`,
		`"\u0008\u0009\u000A\u000c\u000d\u0022\u005C"`: `"\b\t\n\f\r\"\\"`,
		`"\u0000\u000B\u001f\u007f"`:                   `"\u0000\u000b\u001f` + "\u007f" + `"`,
		`"\u2028"`:                                     "\"\u2028\"",
		`"\uD800"`:                                     `"\ud800"`,
		`"\udFfF"`:                                     `"\udfff"`,
		`"\ud800\ud800\udc00"`:                         "\"\\ud800\U00010000\"",
		`"\udc00\ud800"`:                               `"\udc00\ud800"`,
		`"\ud800x\udc00"`:                              `"\ud800x\udc00"`,
		`"\ud800\n\udc00"`:                             `"\ud800\n\udc00"`,
		`"\ud83d` + `😀"`:                               `"\ud83d😀"`,
		`"\ufffd\uffff"`:                               "\"\ufffd\uffff\"",

		`{"b":1,"a":2}`:                         `{"b":1,"a":2}`,
		`{"b":1,"1":2,"a":3,"0":4}`:             `{"0":4,"1":2,"b":1,"a":3}`,
		`{"10":1,"9":2,"a":3}`:                  `{"9":2,"10":1,"a":3}`,
		`{"4294967294":1,"4294967295":2,"0":3}`: `{"0":3,"4294967294":1,"4294967295":2}`,
		`{"4294967295":1,"1":2}`:                `{"1":2,"4294967295":1}`,
		`{"01":1,"-1":2,"1.5":3,"1e1":4,"+1":5," 1":6,"":7,"00":8,"99999999999":9,"1":0}`: `{"1":0,"01":1,"-1":2,"1.5":3,"1e1":4,"+1":5," 1":6,"":7,"00":8,"99999999999":9}`,
		`{"a":1,"\u0031":2}`:                                                          `{"1":2,"a":1}`,
		`{"a":{"2":{"y":1,"1":2},"1":[{"b":0,"0":0}]}}`:                               `{"a":{"1":[{"0":0,"b":0}],"2":{"1":2,"y":1}}}`,
		`{"a":1,"b":2,"a":3}`:                                                         `{"a":3,"b":2}`,
		`{"a":1,"\u0061":{"x":1,"x":2}}`:                                              `{"a":{"x":2}}`,
		`{"b":1,"1":1,"1":[1,2],"0":0,"b":{}}`:                                        `{"0":0,"1":[1,2],"b":{}}`,
		`{"\ud800":1,"\ud801":2,"\uD800":3}`:                                          `{"\ud800":3,"\ud801":2}`,
		`{"__proto__":{"x":1},"constructor":2,"toString":3,"toJSON":4,"__proto__":5}`: `{"__proto__":5,"constructor":2,"toString":3,"toJSON":4}`,
		`{"":1,"a":2,"":3}`:                                                           `{"":3,"a":2}`,
	}
	for raw, want := range tests {
		mustScan(t, `{"body":`+raw+`}`)
		if got := canonicalOf(t, raw); got != want {
			t.Errorf("%s\n got %s\nwant %s", raw, got, want)
		}
		if again := canonicalOf(t, want); again != want {
			t.Errorf("canonical text %s\n is made %s", want, again)
		}
	}
}

// TestFastWay makes sure that usual values are hashed as they are: nothing
// would fail without it but the speed.
func TestFastWay(t *testing.T) {
	for raw, want := range map[string]bool{
		`{"user":"jane\n","n":[1,-2.5,0.000001,true,null],"o":{"a":{},"b":[]}}`: true,
		`"é\"\\😀"`: true, `123456789012345`: true, `0`: true, `[[],[1]]`: true,
		`{"a":1,"b":2,"a":3}`: false, `{"1":1}`: false, `[1, 2]`: false, `{"a" :1}`: false, `{"a": 1}`: false,
		`{ "a":1}`: false, `[1 ]`: false, `1.0`: false, `-0`: false, `1e2`: false, `"\u0041"`: false, `"\/"`: false,
		`0.0000001`: false, `1234567890123456`: false, `{"a":1,"b":1.0}`: false,
	} {
		if got := isCanonical([]byte(raw)); got != want {
			t.Errorf("%s: %v", raw, got)
		}
	}
	for _, n := range []int{fewKeys, fewKeys + 1} {
		var text strings.Builder
		for i := range n {
			fmt.Fprintf(&text, `,"k%d":0`, i)
		}
		if got := isCanonical([]byte("{" + text.String()[1:] + "}")); got != (n <= fewKeys) {
			t.Errorf("%d keys: %v", n, got)
		}
	}
}

// TestCanonicalManyKeys compares objects with many keys, some of them equal or
// integer-like, with the plain reading of the rules.
func TestCanonicalManyKeys(t *testing.T) {
	dice := rand.New(rand.NewPCG(1, 2))
	for _, n := range []int{1, fewKeys, fewKeys + 1, 100, 3000} {
		var raw strings.Builder
		var names []string
		values := map[string]int{}
		numbers := map[int]int{}
		for i := range n {
			k := dice.IntN(n)
			key := fmt.Sprintf("k%d", k)
			if dice.IntN(3) == 0 {
				key = fmt.Sprint(k)
				numbers[k] = i
			} else {
				if _, twice := values[key]; !twice {
					names = append(names, key)
				}
				values[key] = i
			}
			fmt.Fprintf(&raw, `,"%s":{"v":%d}`, key, i)
		}
		var want strings.Builder
		for k := range n {
			if i, ok := numbers[k]; ok {
				fmt.Fprintf(&want, `,"%d":{"v":%d}`, k, i)
			}
		}
		for _, key := range names {
			fmt.Fprintf(&want, `,"%s":{"v":%d}`, key, values[key])
		}
		got := canonicalOf(t, "{"+raw.String()[1:]+"}")
		if got != "{"+want.String()[1:]+"}" {
			t.Errorf("%d keys:\n got %.300s\nwant %.300s", n, got, want.String())
		}
	}
}

func TestAppendCanonical(t *testing.T) {
	tests := map[string]string{
		`{}`: `{"version":"UMF/1.4.6"}`,
		`{"aut":"z","bdy":{"1":1},"fwd":"f","via":"v","ver":"w","typ":"y","ts":"t","tmo":1.0,"sig":"s","rmid":"r","mid":"m","hdr":{},"frm":"b","to":"a","pri":1,"ttl":1,"for":1,"x":1}`: `{"to":"a","from":"b","headers":{},"mid":"m","rmid":"r","timeout":1,"timestamp":"t","type":"y","version":"w","via":"v","forward":"f","body":{"1":1},"authorization":"z"}`,
		`{"to":"","from":0,"mid":null,"body":false,"version":""}`: `{"version":"UMF/1.4.6"}`,
		`{"to":[],"from":true,"mid":{}}`:                          `{"to":[],"from":true,"mid":{},"version":"UMF/1.4.6"}`,
	}
	for text, want := range tests {
		if got := string(mustScan(t, text).AppendCanonical([]byte("x"))); got != "x"+want {
			t.Errorf("%s\n got %s\nwant x%s", text, got, want)
		}
	}
}

func TestAppendString(t *testing.T) {
	tests := map[string]string{
		"":                           `""`,
		"plain":                      `"plain"`,
		"\"\\\b\t\n\f\r\x00\x1f":     `"\"\\\b\t\n\f\r\u0000\u001f"`,
		"/<>&\x7f\u2028é😀\U0010ffff": "\"/<>&\x7f\u2028é😀\U0010ffff\"",
		"a\xffb\xc3":                 "\"a\ufffdb\ufffd\"",
		"\xed\xa0\x80":               "\"\ufffd\ufffd\ufffd\"",
		"\ufffd":                     "\"\ufffd\"",
	}
	for s, want := range tests {
		if got := string(AppendString(nil, s)); got != want {
			t.Errorf("%q is %s, want %s", s, got, want)
		}
		if got := string(AppendString(nil, []byte(s))); got != want {
			t.Errorf("%q as bytes is %s, want %s", s, got, want)
		}
	}
}
