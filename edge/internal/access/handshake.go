package access

import (
	"net/http"
	"net/url"
	"strings"

	"hydrant/edge/internal/protocol"
)

// Handshake is the request that a client connects with.
type Handshake interface {
	// Header returns the value of a field, "" if there is none. Of one that is there
	// several times it has all values (RFC 9110 §5.3).
	Header(name string) string
	// Protocols are the subprotocols on offer, in the client's order.
	Protocols() []string
	// URI is the request target as it was sent, with its query.
	URI() string
}

// tokenParameter of the query carries a token.
const tokenParameter = "access_token"

// FindToken takes the token from the header, the subprotocol, the cookie of the
// given name or the query, in this order. It is "" where there is none.
func FindToken(h Handshake, cookie string) string {
	if token, ok := bearer(h.Header("Authorization")); ok {
		return strings.TrimSpace(token)
	}
	for _, p := range h.Protocols() {
		if token, ok := strings.CutPrefix(p, protocol.SubprotocolAuth); ok {
			return token
		}
	}
	if token := cookieValue(h.Header("Cookie"), cookie); token != "" {
		return token
	}
	if u, err := url.ParseRequestURI(h.URI()); err == nil {
		return u.Query().Get(tokenParameter)
	}
	return ""
}

// bearer takes the token from a field Authorization (RFC 6750 §2.1).
func bearer(authorization string) (token string, ok bool) {
	scheme, token, ok := strings.Cut(authorization, " ")
	return token, ok && strings.EqualFold(scheme, "Bearer")
}

// cookieValue is "" if there is no cookie of the name. Malformed ones of other
// applications are passed over, where http.ParseCookie gives up.
func cookieValue(header, name string) string {
	r := http.Request{Header: http.Header{"Cookie": {header}}}
	cookie, err := r.Cookie(name)
	if err != nil {
		return ""
	}
	return cookie.Value
}
