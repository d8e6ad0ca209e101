// Go's own reverse proxy, round robin over the ports that it is given: reverseproxy LISTEN PORT...
package main

import (
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"sync/atomic"
)

func main() {
	targets := []*url.URL{}
	for _, port := range os.Args[2:] {
		targets = append(targets, &url.URL{Scheme: "http", Host: "127.0.0.1:" + port})
	}
	var turn atomic.Uint64
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(targets[turn.Add(1)%uint64(len(targets))])
		},
		Transport:     &http.Transport{MaxIdleConnsPerHost: 64},
		FlushInterval: -1, // streams pass as they come
	}
	if err := http.ListenAndServe("127.0.0.1:"+os.Args[1], proxy); err != nil {
		panic(err)
	}
}
