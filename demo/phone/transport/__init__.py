"""How the phone's bytes travel: UDP, TCP, TLS, WS and WSS behind one port."""
