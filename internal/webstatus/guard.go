package webstatus

import (
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// policy lets the page use what this server gives, and nothing else: no script within the page, no style within it, no frame, no form, no
// other address, and no text that a script turns into HTML.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"

// headers are those of every answer, errors included.
var headers = map[string]string{
	"Content-Security-Policy":      policy,
	"X-Content-Type-Options":       "nosniff",
	"X-Frame-Options":              "DENY", // for browsers that do not know frame-ancestors
	"Referrer-Policy":              "no-referrer",
	"Cross-Origin-Resource-Policy": "same-origin",
	"Cross-Origin-Opener-Policy":   "same-origin",
	"Permissions-Policy":           "camera=(), geolocation=(), microphone=()",
	"Cache-Control":                "no-store",
}

// guard answers GET and HEAD to those who call us by our own name, or an address. host is the name that the server was told to listen on.
func guard(host string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for name, value := range headers {
			w.Header().Set(name, value)
		}
		switch {
		case !ours(r.Host, host):
			http.Error(w, "this server has no such name", http.StatusMisdirectedRequest)
		case r.Method != http.MethodGet && r.Method != http.MethodHead:
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "only GET and HEAD", http.StatusMethodNotAllowed)
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// ours reports whether a Host header names this server. A page of a stranger can have its own name lead to our address, and then read what we
// answer (DNS rebinding); but it cannot take the name off its requests. An address in numbers leads nowhere else.
func ours(header, host string) bool {
	name := header
	if h, _, err := net.SplitHostPort(header); err == nil {
		name = h
	} else if inner, ok := strings.CutPrefix(header, "["); ok {
		name = strings.TrimSuffix(inner, "]")
	}
	if _, err := netip.ParseAddr(name); err == nil {
		return true
	}
	return strings.EqualFold(name, "localhost") || name != "" && strings.EqualFold(name, host)
}
