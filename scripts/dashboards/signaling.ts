/** Signaling: rooms and peers, what goes through them, why sockets close. */
import { dashboard } from './frame.ts'
import { stat, timeseries, type Unplaced } from './panels.ts'
import { grownBy, orNone, orZero, perSecond, PROJECT, quantile, sum } from './promql.ts'

export const signaling = dashboard({
  uid: 'turnpike-signaling',
  title: 'Turnpike: Signaling',
  description: 'Rooms and peers, signals between them, sockets that are lost and come back, errors, and why sockets close.',
  chosenBy: ['project'],
  sections: [
    { title: 'Now', panels: now() },
    { title: 'Rooms', panels: rooms() },
    { title: 'Sockets and sessions', panels: sessions() },
    { title: 'Errors and ends', panels: errors() },
  ],
})

function now (): Unplaced[] {
  return [
    stat({ title: 'Peers', description: 'Peers in rooms, those among them whose socket is lost and may come back. 0 when nobody is in a room.', unit: 'none', width: 6, queries: [[orZero(sum('turnpike_signaling_peers', [], PROJECT)), 'peers']] }),
    stat({ title: 'Rooms', description: 'Rooms that have a peer in them. Normal: about half of the peers where people call in twos.', unit: 'none', width: 6, queries: [[orZero(sum('turnpike_signaling_rooms', [], PROJECT)), 'rooms']] }),
    stat({ title: 'Joins', description: 'Peers that joined a room in the time shown. One that comes back to its session does not count again.', unit: 'none', width: 6, decimals: 0, queries: [[orZero(grownBy('turnpike_signaling_joins_total', [], PROJECT)), 'joins']] }),
    stat({ title: 'Peers in a room', description: 'Peers for each room that has any. Normal: 1 to 2 for calls in twos; 1 all the time means that people wait for somebody who does not come.', unit: 'none', width: 6, decimals: 1, queries: [[orZero(`${sum('turnpike_signaling_peers', [], PROJECT)} / (${sum('turnpike_signaling_rooms', [], PROJECT)} > 0)`), 'peers']] }),
  ]
}

function rooms (): Unplaced[] {
  return [
    timeseries({ title: 'Peers by project', description: 'Peers in rooms, also those whose socket is lost and may come back. Normal: follows your day.', unit: 'none', width: 12, stacked: true, queries: [[orNone(sum('turnpike_signaling_peers', ['project'], PROJECT), 'project'), '{{project}}']] }),
    timeseries({ title: 'Rooms by project', description: 'Rooms that have a peer in them. Normal: follows your day.', unit: 'none', width: 12, stacked: true, queries: [[orNone(sum('turnpike_signaling_rooms', ['project'], PROJECT), 'project'), '{{project}}']] }),
    timeseries({ title: 'Joins', description: 'Peers that joined a room, each second. A peak without more peers is people who join anew again and again: their clients do not resume.', unit: 'cps', width: 12, queries: [[orNone(perSecond('turnpike_signaling_joins_total', ['project'], PROJECT), 'project'), '{{project}}']] }),
    timeseries({ title: 'Signals delivered', description: 'Signals each second, once for each receiver. Normal: some tens when a call begins, then hardly any.', unit: 'cps', width: 12, queries: [[orNone(perSecond('turnpike_signaling_signals_total', ['project'], PROJECT), 'project'), '{{project}}']] }),
  ]
}

function sessions (): Unplaced[] {
  return [
    timeseries({ title: 'Peers and sockets', description: 'Peers in rooms, and sockets that are open. Between them are peers whose socket is lost and who may come back. Normal: nearly the same.', unit: 'none', width: 12, queries: [[orZero(sum('turnpike_signaling_peers', [], PROJECT)), 'peers'], [orZero(sum('turnpike_signaling_sockets', [], PROJECT)), 'sockets']] }),
    timeseries({ title: 'Resumes', description: 'Sockets each second that were to go on with a session. Normal: resumed; unknown are peers that came back after the grace period, or after a server that was killed.', unit: 'cps', width: 12, queries: [[orNone(perSecond('turnpike_signaling_resumes_total', ['result']), 'result'), '{{result}}']] }),
    timeseries({ title: 'Round trip', description: 'From a ping of the server to the answer of a peer. Normal: below 100 ms within a continent; a median that rises for everybody is the network of the server, or its event loop.', unit: 's', width: 12, queries: [[orZero(quantile(0.5, 'turnpike_signaling_round_trip_seconds', [])), 'median'], [orZero(quantile(0.99, 'turnpike_signaling_round_trip_seconds', [])), '99th percentile']] }),
    timeseries({ title: 'Waiting to be delivered', description: 'Bytes that peers were sent and have not read or acknowledged, all together. Normal: near 0; at TURNPIKE_SIGNALING_WAITING_BYTES sessions for which most waits are ended.', unit: 'bytes', width: 12, queries: [[orZero(sum('turnpike_signaling_waiting_bytes', [])), 'waiting']] }),
  ]
}

function errors (): Unplaced[] {
  return [
    timeseries({ title: 'Errors by code', description: 'Error frames sent and joins refused, each second; the codes stand in docs/errors.md. Normal: peer-unavailable now and then, when somebody has just left.', unit: 'cps', width: 12, queries: [[orNone(perSecond('turnpike_signaling_errors_total', ['code']), 'code'), '{{code}}']] }),
    timeseries({ title: 'Closes by code', description: 'Sockets closed each second, by WebSocket close code. Normal: 1000, 1001 and 1005; many 1006 are networks that break.', unit: 'cps', width: 12, queries: [[orNone(perSecond('turnpike_signaling_closes_total', ['code']), 'code'), '{{code}}']] }),
    timeseries({ title: 'Room tokens issued', description: 'Tokens each second. Normal: about as many as joins.', unit: 'cps', width: 24, queries: [[orNone(perSecond('turnpike_room_tokens_issued_total', ['project'], PROJECT), 'project'), '{{project}}']] }),
  ]
}
