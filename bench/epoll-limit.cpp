// What this machine can do at all: the same rooms and frames forwarded by one thread in C++ with epoll, and nothing promised or checked.
// GET /<room>/<peer>; {"type":"signal",["cid":n,]"to":"<peer>"|"*","data":…} in just this order. Prints its port.
#include <arpa/inet.h>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <netinet/tcp.h>
#include <string>
#include <string_view>
#include <sys/epoll.h>
#include <unistd.h>
#include <unordered_map>
#include <vector>
using namespace std;

struct Peer { int fd; string id; unordered_map<string, Peer*>* room = nullptr; string in, out; bool dirty = false; };
static unordered_map<string, unordered_map<string, Peer*>> rooms;
static vector<Peer*> dirty;

static void send(Peer* peer, string_view framed) {
  peer->out.append(framed);
  if (!peer->dirty) { peer->dirty = true; dirty.push_back(peer); }
}

static string framed(initializer_list<string_view> parts) {
  size_t length = 0;
  for (auto part : parts) length += part.size();
  string frame(1, char(0x81));
  if (length < 126) frame += char(length);
  else { frame += char(126); frame += char(length >> 8); frame += char(length); }
  frame.reserve(frame.size() + length);
  for (auto part : parts) frame.append(part);
  return frame;
}

static void welcome(Peer* peer, string_view head) {
  auto path = head.substr(5, head.find(' ', 5) - 5);
  auto slash = path.find('/');
  peer->id = string(path.substr(slash + 1));
  peer->room = &rooms[string(path.substr(0, slash))];
  (*peer->room)[peer->id] = peer;
  send(peer, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n");
  send(peer, framed({"{\"type\":\"welcome\"}"}));
}

static void forward(Peer* peer, string_view text) {
  auto at = text.find("\"to\":\"");
  if (at == text.npos) return;
  auto to = text.substr(at + 6, text.find('"', at + 6) - at - 6);
  auto data = text.substr(text.find("\"data\":", at) + 7);
  auto frame = framed({"{\"type\":\"signal\",\"from\":\"", peer->id, "\",\"data\":", data});
  if (to == "*") { for (auto& [id, other] : *peer->room) if (other != peer) send(other, frame); }
  else if (auto other = peer->room->find(string(to)); other != peer->room->end()) send(other->second, frame);
  auto cid = text.find("\"cid\":");
  if (cid < at) send(peer, framed({"{\"type\":\"accepted\",\"ref\":", text.substr(cid + 6, text.find(',', cid) - cid - 6), "}"}));
}

// Everything that is whole is taken; frames have 64 kB at most.
static void take(Peer* peer) {
  string& in = peer->in;
  size_t at = 0;
  if (peer->room == nullptr) {
    auto end = in.find("\r\n\r\n");
    if (end == in.npos) return;
    welcome(peer, string_view(in).substr(0, end));
    at = end + 4;
  }
  while (in.size() - at >= 6) {
    auto byte = [&](size_t i) { return (unsigned char)in[at + i]; };
    size_t length = byte(1) & 127, head = 6;
    if (length == 126) { length = byte(2) << 8 | byte(3); head = 8; }
    if (in.size() - at < head + length) break;
    char* text = &in[at + head];
    uint32_t mask; memcpy(&mask, text - 4, 4);
    size_t i = 0;
    for (; i + 4 <= length; i += 4) { uint32_t word; memcpy(&word, text + i, 4); word ^= mask; memcpy(text + i, &word, 4); }
    for (; i < length; i++) text[i] ^= ((char*)&mask)[i & 3];
    if ((byte(0) & 15) == 1) forward(peer, {text, length});
    at += head + length;
  }
  in.erase(0, at);
}

int main() {
  signal(SIGPIPE, SIG_IGN);
  int listener = socket(AF_INET, SOCK_STREAM, 0), poll = epoll_create1(0), one = 1;
  sockaddr_in address{}; socklen_t size = sizeof address;
  address.sin_family = AF_INET; address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (bind(listener, (sockaddr*)&address, size) != 0 || listen(listener, 1024) != 0) return 1;
  getsockname(listener, (sockaddr*)&address, &size);
  printf("{\"port\":%d}\n", ntohs(address.sin_port)); fflush(stdout);
  epoll_event added{}; added.events = EPOLLIN; epoll_ctl(poll, EPOLL_CTL_ADD, listener, &added);
  vector<epoll_event> events(1024);
  static char bytes[65536];
  for (;;) {
    int count = epoll_wait(poll, events.data(), events.size(), dirty.empty() ? -1 : 1);
    for (int i = 0; i < count; i++) {
      auto peer = (Peer*)events[i].data.ptr;
      if (peer == nullptr) {
        int fd = accept4(listener, nullptr, nullptr, SOCK_NONBLOCK);
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        added.data.ptr = new Peer{fd}; epoll_ctl(poll, EPOLL_CTL_ADD, fd, &added);
        continue;
      }
      ssize_t got = read(peer->fd, bytes, sizeof bytes);
      if (got > 0) { peer->in.append(bytes, got); take(peer); }
      else if (got == 0) { close(peer->fd); if (peer->room) peer->room->erase(peer->id); }
    }
    vector<Peer*> waiting; waiting.swap(dirty);
    for (auto peer : waiting) {
      ssize_t sent = write(peer->fd, peer->out.data(), peer->out.size());
      peer->dirty = false;
      if (sent > 0) peer->out.erase(0, sent);
      if (!peer->out.empty() && (sent > 0 || errno == EAGAIN)) { peer->dirty = true; dirty.push_back(peer); }
    }
  }
}
