package node

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"

	tari "github.com/tari-libp2p/tari-libp2p"
	"github.com/tari-libp2p/tari-libp2p/peerbook"
)

// reachTime is how long Reach waits for a folder that another short command holds, or for a node that is starting.
const reachTime = 5 * time.Second

// Client asks a node, or the data folder of one that does not run, through the same requests. Safe for concurrent use.
type Client struct {
	http *http.Client
	node *Node // that we opened ourselves, or nil
}

// Reach gives a Client for the data folder dir: over the control socket while a node runs there, and otherwise by
// open, whose Node the Client closes. While another process holds the folder but does not answer, Reach tries again
// for 5 s, then returns the *peerbook.LockedError.
func Reach(ctx context.Context, dir string, open func() (*Node, error)) (*Client, error) {
	c, n, err := dialOrOpen(ctx, dir, open)
	if c != nil || err != nil {
		return c, err
	}
	return &Client{http: &http.Client{Transport: direct{controlHandler(n)}}, node: n}, nil
}

// dialOrOpen gives a Client of the node that runs in dir or, if none does, what open opens there, trying again as Reach says.
func dialOrOpen[T any](ctx context.Context, dir string, open func() (T, error)) (c *Client, opened T, err error) {
	ctx, cancel := context.WithTimeout(ctx, reachTime)
	defer cancel()
	for {
		if c := dialControl(ctx, dir); c != nil {
			return c, opened, nil
		}
		opened, err = open()
		if !errors.As(err, new(*peerbook.LockedError)) {
			return nil, opened, err
		}
		select {
		case <-ctx.Done():
			return nil, opened, err
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// dialControl is nil if nobody answers on the control socket of dir.
func dialControl(ctx context.Context, dir string) *Client {
	path, err := socketPath(dir)
	if err != nil {
		return nil
	}
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", path)
	}
	conn, err := dial(ctx, "", "")
	if err != nil {
		return nil
	}
	conn.Close()
	return &Client{http: &http.Client{Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}}}
}

// Close ends the node that Reach opened, if it did; its unsent messages are flushed, and an error says if that failed.
func (c *Client) Close() error {
	c.http.CloseIdleConnections()
	if c.node != nil {
		return c.node.Close()
	}
	return nil
}

// Status tells how the node is.
func (c *Client) Status(ctx context.Context) (Status, error) {
	return call[Status](ctx, c, http.MethodGet, "/v1/status", nil, nil)
}

// Overview tells how the node is at this moment, as Node.Overview does.
func (c *Client) Overview(ctx context.Context) (Overview, error) {
	return call[Overview](ctx, c, http.MethodGet, "/v1/overview", nil, nil)
}

// Identity tells who the node is.
func (c *Client) Identity(ctx context.Context) (IdentityInfo, error) {
	return call[IdentityInfo](ctx, c, http.MethodGet, "/v1/identity", nil, nil)
}

// Peers lists the peer book.
func (c *Client) Peers(ctx context.Context) (PeerList, error) {
	return call[PeerList](ctx, c, http.MethodGet, "/v1/peers", nil, nil)
}

// AddPeer puts PUBKEY::ADDR[::ADDR] into the peer book.
func (c *Client) AddPeer(ctx context.Context, peer string) (PeerInfo, error) {
	return call[PeerInfo](ctx, c, http.MethodPost, "/v1/peers", url.Values{"peer": {peer}}, nil)
}

// AddSeeds puts well-known nodes into the peer book, as Node.AddSeeds does. It returns how many there were.
func (c *Client) AddSeeds(ctx context.Context, found []tari.Address) (int, error) {
	body, err := json.Marshal(texts(found))
	if err != nil {
		return 0, err
	}
	done, err := call[seedsAdded](ctx, c, http.MethodPost, "/v1/seeds", nil, bytes.NewReader(body))
	return done.Added, err
}

// Peer tells all that the book knows of a peer, named as CheckPeer has it.
func (c *Client) Peer(ctx context.Context, peer string) (PeerDetail, error) {
	return call[PeerDetail](ctx, c, http.MethodGet, "/v1/peer", url.Values{"peer": {peer}}, nil)
}

// RemovePeer forgets a peer, but not its ban.
func (c *Client) RemovePeer(ctx context.Context, peer string) (Removed, error) {
	return call[Removed](ctx, c, http.MethodDelete, "/v1/peers", url.Values{"peer": {peer}}, nil)
}

// Send sends message to a peer, named as CheckPeer has it, of which an address must be known.
func (c *Client) Send(ctx context.Context, peer string, message []byte) (Sent, error) {
	return call[Sent](ctx, c, http.MethodPost, "/v1/send", url.Values{"peer": {peer}}, bytes.NewReader(message))
}

// Dial connects to a peer, named as CheckPeer has it, of which an address must be known.
func (c *Client) Dial(ctx context.Context, peer string) (Dialed, error) {
	return call[Dialed](ctx, c, http.MethodPost, "/v1/dial", url.Values{"peer": {peer}}, nil)
}

// Watch calls f with each event of the running node from now on, until ctx or the node ends; that is no error if it was the
// node. An open folder has no events: the error says that no node runs.
func (c *Client) Watch(ctx context.Context, f func(Event)) error {
	if c.node != nil {
		return fail(FailUnreachable, c.node.notRunning())
	}
	events, err := request(ctx, c, http.MethodGet, "/v1/events", nil, nil)
	if err != nil {
		return err
	}
	defer events.Close()
	in := json.NewDecoder(events)
	for {
		var e Event
		switch err := in.Decode(&e); {
		case errors.Is(err, io.EOF):
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			return fmt.Errorf("node: control: %w", err)
		}
		f(e)
	}
}

// Bans lists the bans that hold.
func (c *Client) Bans(ctx context.Context) (BanList, error) {
	return call[BanList](ctx, c, http.MethodGet, "/v1/bans", nil, nil)
}

// Ban shuts a peer out for d, to the second, and ends its connections; peerbook.Forever lasts until Unban.
func (c *Client) Ban(ctx context.Context, peer string, d time.Duration, reason string) (Banned, error) {
	seconds := "0"
	if d != peerbook.Forever {
		seconds = strconv.FormatInt(max(1, int64(d/time.Second)), 10)
	}
	return call[Banned](ctx, c, http.MethodPost, "/v1/bans", url.Values{"peer": {peer}, "seconds": {seconds}, "reason": {reason}}, nil)
}

// Unban lets a peer in again.
func (c *Client) Unban(ctx context.Context, peer string) (Unbanned, error) {
	return call[Unbanned](ctx, c, http.MethodDelete, "/v1/bans", url.Values{"peer": {peer}}, nil)
}

// UnbanAll lets all banned peers in again, whoever banned them.
func (c *Client) UnbanAll(ctx context.Context) (UnbannedAll, error) {
	return call[UnbannedAll](ctx, c, http.MethodDelete, "/v1/bans", url.Values{"all": {"true"}}, nil)
}

// Allowed lists the peers on the allow list.
func (c *Client) Allowed(ctx context.Context) (AllowList, error) {
	return call[AllowList](ctx, c, http.MethodGet, "/v1/allowed", nil, nil)
}

// Allow puts peers on the allow list, as Node.Allow does; none is an error.
func (c *Client) Allow(ctx context.Context, peers ...string) (AllowChanges, error) {
	return changeAllowed(ctx, c, http.MethodPost, peers)
}

// Disallow takes peers off the allow list; none is an error.
func (c *Client) Disallow(ctx context.Context, peers ...string) (AllowChanges, error) {
	return changeAllowed(ctx, c, http.MethodDelete, peers)
}

func changeAllowed(ctx context.Context, c *Client, method string, peers []string) (AllowChanges, error) {
	body, err := json.Marshal(peers)
	if err != nil {
		return AllowChanges{}, err
	}
	return call[AllowChanges](ctx, c, method, "/v1/allowed", nil, bytes.NewReader(body))
}

// ExportPeers writes the whole peer book to w, as peerbook.Export does.
func (c *Client) ExportPeers(ctx context.Context, format peerbook.Format, w io.Writer) error {
	answer, err := request(ctx, c, http.MethodGet, "/v1/book", url.Values{"format": {string(format)}}, nil)
	if err != nil {
		return err
	}
	defer answer.Close()
	if _, err := io.Copy(w, answer); err != nil {
		return fmt.Errorf("node: export: %w", err)
	}
	return nil
}

// ImportPeers takes peers from what ExportPeers wrote, as peerbook.Import does.
func (c *Client) ImportPeers(ctx context.Context, format peerbook.Format, from io.Reader) (Imported, error) {
	return call[Imported](ctx, c, http.MethodPost, "/v1/book", url.Values{"format": {string(format)}}, from)
}

// call makes one request and reads the answer.
func call[T any](ctx context.Context, c *Client, method, path string, query url.Values, body io.Reader) (answer T, err error) {
	raw, err := request(ctx, c, method, path, query, body)
	if err != nil {
		return answer, err
	}
	defer raw.Close()
	if err := json.NewDecoder(raw).Decode(&answer); err != nil {
		return answer, fmt.Errorf("node: control: answer: %w", err)
	}
	return answer, nil
}

// request makes one request. A failure that the node reports is a *Failure.
func request(ctx context.Context, c *Client, method, path string, query url.Values, body io.Reader) (io.ReadCloser, error) {
	target := url.URL{Scheme: "http", Host: "node", Path: path, RawQuery: query.Encode()}
	r, err := http.NewRequestWithContext(ctx, method, target.String(), body)
	if err != nil {
		return nil, err
	}
	response, err := c.http.Do(r)
	if err != nil {
		if ctx.Err() != nil {
			return nil, fmt.Errorf("node: %w", ctx.Err())
		}
		return nil, fmt.Errorf("node: control: %w", errors.Unwrap(err))
	}
	if response.StatusCode == http.StatusOK {
		return response.Body, nil
	}
	defer response.Body.Close()
	failure := new(Failure)
	if json.NewDecoder(response.Body).Decode(failure) != nil || failure.Text == "" {
		return nil, fmt.Errorf("node: control: %s", response.Status)
	}
	return nil, failure
}

// direct serves requests in this process, so that a folder without a running node gives the same answers.
type direct struct{ handler http.Handler }

func (d direct) RoundTrip(r *http.Request) (*http.Response, error) {
	answer := &recorded{header: make(http.Header), status: http.StatusOK}
	d.handler.ServeHTTP(answer, r)
	return &http.Response{
		StatusCode: answer.status,
		Status:     http.StatusText(answer.status),
		Header:     answer.header,
		Body:       io.NopCloser(&answer.body),
		Request:    r,
	}, nil
}

type recorded struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (a *recorded) Header() http.Header         { return a.header }
func (a *recorded) WriteHeader(status int)      { a.status = status }
func (a *recorded) Write(p []byte) (int, error) { return a.body.Write(p) }
