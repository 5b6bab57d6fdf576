package compat

import (
	"fmt"
	"log"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/h1go/h1/h1test"

	"github.com/gorilla/websocket"
)

// room is a chat: what one says, all hear.
type room struct {
	mu    sync.Mutex
	conns map[*websocket.Conn]struct{}
	left  sync.WaitGroup
}

var upgrader websocket.Upgrader

// ServeHTTP lets one more in.
func (r *room) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	c, err := upgrader.Upgrade(w, req, nil)
	if err != nil {
		return // Upgrade has answered
	}
	r.enter(c)
	defer r.leave(c)
	for {
		kind, p, err := c.ReadMessage()
		if err != nil {
			return
		}
		r.say(kind, p)
	}
}

func (r *room) enter(c *websocket.Conn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.conns[c] = struct{}{}
	r.left.Add(1)
}

func (r *room) leave(c *websocket.Conn) {
	r.mu.Lock()
	delete(r.conns, c)
	r.mu.Unlock()
	c.Close()
	r.left.Done()
}

func (r *room) say(kind int, p []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for c := range r.conns {
		c.WriteMessage(kind, p)
	}
}

// close sends everybody home.
func (r *room) close() {
	bye := websocket.FormatCloseMessage(websocket.CloseGoingAway, "the server ends")
	r.mu.Lock()
	defer r.mu.Unlock()
	for c := range r.conns {
		c.WriteControl(websocket.CloseMessage, bye, time.Now().Add(time.Second))
	}
}

// A chat over WebSockets, whose connections Shutdown neither closes nor waits
// for: the application is told, and does.
func Example_chat() {
	chat := &room{conns: map[*websocket.Conn]struct{}{}}
	srv := h1test.NewUnstartedServer(chat)
	srv.Config.RegisterOnShutdown(chat.close)
	srv.Start()

	var guests []*websocket.Conn
	for range 2 {
		c, _, err := websocket.DefaultDialer.Dial("ws"+strings.TrimPrefix(srv.URL, "http"), nil)
		if err != nil {
			log.Fatal(err)
		}
		defer c.Close()
		c.WriteMessage(websocket.TextMessage, []byte("hello"))
		if _, p, err := c.ReadMessage(); err == nil { // by the time it is heard the guest is in
			fmt.Printf("guest %d hears %s\n", len(guests)+1, p)
		}
		guests = append(guests, c)
	}
	_, p, _ := guests[0].ReadMessage()
	fmt.Printf("guest 1 hears %s of guest 2\n", p)

	srv.Close()
	for i, c := range guests {
		_, _, err := c.ReadMessage()
		fmt.Printf("guest %d: %v\n", i+1, err)
	}
	chat.left.Wait()
	// Output:
	// guest 1 hears hello
	// guest 2 hears hello
	// guest 1 hears hello of guest 2
	// guest 1: websocket: close 1001 (going away): the server ends
	// guest 2: websocket: close 1001 (going away): the server ends
}
