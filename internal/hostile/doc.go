// Package hostile attacks a live host, in every dialect, the way a stranger can. It holds only tests.
package hostile
