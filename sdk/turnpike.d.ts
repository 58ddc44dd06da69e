/*! turnpike-client, Apache-2.0 */
/** A code of docs/errors.md, as the server said it. There may be more one day. */
export type ErrorCode = string & {};
/** What a client should do about an error: give up, wait and try again, or connect again at once. */
export type Retry = 'never' | 'backoff' | 'now';
export type RoomKind = 'mesh' | 'pair' | 'topic';
export type LeaveReason = 'left' | 'lost' | 'replaced' | 'kicked' | 'closed';
/** An RTCIceServer as browsers take it (W3C WebRTC §4.2.4). */
export type IceServer = {
    urls: string[];
    username?: string;
    credential?: string;
};
export type Metadata = Record<string, unknown>;
export type PeerInfo = {
    id: string;
    role: string | null;
    metadata: Metadata;
};
/** A peer as another peer sees it; `polite` says whether the *reader* of this frame yields in a glare (perfect negotiation, W3C WebRTC §10.7). */
export type PeerView = PeerInfo & {
    polite: boolean;
};
/** What getStats says of the path a call takes (W3C WebRTC Statistics), in plain words. */
export type Path = {
    kind: 'direct' | 'relay';
    /** How packets leave us: toward the relay where we use one. */
    transport: 'udp' | 'tcp' | 'tls';
    /** Which ends use a relay. */
    relayedBy: 'nobody' | 'us' | 'them' | 'both';
    roundTripMs: number | null;
    bytesReceived: number;
    bytesSent: number;
};
/** A signal that the server took; whether it arrived is not known. */
export type Undelivered = {
    cid: number;
    to: string;
    data: unknown;
};
/** An event of an iterator: its name and what it says. */
export type EventOf<M> = {
    [E in keyof M]: {
        type: E;
        detail: M[E];
    };
}[keyof M];
/** What goes wrong on this side of the socket. Everything else has a code of docs/errors.md, as the server said it. */
export type ClientErrorCode = 'left' | 'connection-lost' | 'connection-ended' | 'token-unavailable' | 'queue-full' | 'too-many-events' | 'no-webrtc' | 'negotiation-failed';
export declare class TurnpikeClientError extends Error {
    readonly code: ErrorCode | ClientErrorCode;
    readonly retry: Retry;
    constructor(code: ErrorCode | ClientErrorCode, message: string, retry?: Retry, cause?: unknown);
}
export type JoinOptions = {
    /** As the server that made the token said it: wss://…/v1/signal. Where the token leaves it to us which peer we are, with ?peer=. */
    url: string;
    /** A room token; or `getToken`, or both: the token first. */
    token?: string | undefined;
    /** Asked for a token when there is none, or the one there is has expired or was refused. */
    getToken?: (() => Promise<string>) | undefined;
    /** Its tracks are sent to everybody we connect to. */
    media?: MediaStream | null | undefined;
    /** Relayed paths only, in all connections. */
    relayOnly?: boolean | undefined;
    /** Picks among the ICE servers that the server names. */
    chooseIceServers?: ((iceServers: IceServer[]) => IceServer[]) | undefined;
    /** How a lost socket comes back: first wait, longest wait, and when it is given up (never, where nothing is said). */
    reconnect?: {
        minMs?: number | undefined;
        maxMs?: number | undefined;
        giveUpAfterMs?: number | undefined;
    } | undefined;
    /** How long the first connection may take; 15 s. */
    joinWithinMs?: number | undefined;
    /** Frames that may wait for the server, while it cannot be reached for instance; 1000. */
    queueFrames?: number | undefined;
    /** No faster than the server takes them; 45. */
    framesPerSecond?: number | undefined;
    /** In Node.js, what does WebRTC, and negotiates as browsers do. Without it there is signaling alone. */
    RTCPeerConnection?: typeof RTCPeerConnection | undefined;
};
export type RoomProperties = {
    id: string;
    capacity: number;
    kind: RoomKind;
    metadata: Metadata;
};
export type RoomState = 'joined' | 'reconnecting' | 'closed';
export type RoomEvents = {
    state: RoomState;
    'peer-joined': PeerView;
    'peer-left': {
        id: string;
        reason: LeaveReason;
    };
    'peer-updated': PeerView;
    /** Another peer's `send`. What connections say to each other is not shown. */
    signal: {
        from: string;
        data: unknown;
    };
    /** What the application's server said. */
    message: unknown;
    /** Another peer connects to us, and we had not connected to it. Who does not listen calls `connect` when it likes. */
    connection: Connection;
    'ice-servers': IceServer[];
    /** The server had accepted this and could not deliver it. */
    undelivered: Undelivered & {
        error: TurnpikeClientError;
    };
    /** The session could not be resumed and we joined anew: these were accepted, and may not have arrived. What was not accepted is sent again. */
    'session-lost': {
        undelivered: Undelivered[];
    };
    /** The server restarts; we come back to it by ourselves. */
    draining: {
        deadline: number;
    };
    /** Something was refused that no promise stands for. */
    error: TurnpikeClientError;
    /** The end, once, and why; code `left` where we left. */
    closed: TurnpikeClientError;
};
export interface Room {
    readonly state: RoomState;
    /** Names the session in the server's log. */
    readonly session: string;
    readonly self: PeerInfo;
    readonly room: RoomProperties;
    readonly peers: ReadonlyMap<string, PeerView>;
    readonly iceServers: IceServer[];
    readonly connections: ReadonlyMap<string, Connection>;
    /** Calls back for each event; returns how to stop. */
    on<E extends keyof RoomEvents>(type: E, listener: (detail: RoomEvents[E]) => void): () => void;
    /** The same as an iterator, from now on: {type, detail}. It ends with the room. */
    events(): AsyncIterableIterator<EventOf<RoomEvents>>;
    /** Sends JSON to one peer, or to every other with '*'. Resolves when the server has accepted it; rejects with a TurnpikeClientError. */
    send(to: string, data: unknown): Promise<void>;
    /** Replaces our own metadata. */
    update(metadata: Metadata): Promise<void>;
    /** The connection to a peer: the one there is, or a new one. Throws peer-unavailable, no-webrtc or left. */
    connect(peer: string, options?: ConnectOptions): Connection;
    /** Leaves at once and ends all connections. */
    leave(): void;
}
export type ConnectOptions = {
    media?: MediaStream | null | undefined;
    relayOnly?: boolean | undefined;
};
export type ConnectionState = 'connecting' | 'connected' | 'reconnecting' | 'failed' | 'closed';
export type ConnectionEvents = {
    state: ConnectionState;
    track: {
        track: MediaStreamTrack;
        streams: readonly MediaStream[];
    };
    /** The other side opened a channel that we had not asked for. */
    channel: Channel;
    /** A negotiation step failed; the next one may repair it. */
    error: TurnpikeClientError;
};
/** A managed RTCPeerConnection: negotiated perfectly, restarted where its path is lost, with ICE servers that do not expire. */
export interface Connection {
    readonly peer: PeerView;
    readonly state: ConnectionState;
    /** The one in use. It is another one after the other side has begun anew. */
    readonly pc: RTCPeerConnection;
    relayOnly: boolean;
    on<E extends keyof ConnectionEvents>(type: E, listener: (detail: ConnectionEvents[E]) => void): () => void;
    events(): AsyncIterableIterator<EventOf<ConnectionEvents>>;
    addTrack(track: MediaStreamTrack, ...streams: MediaStream[]): void;
    /** Sends another track in the place of one, without negotiating. */
    replaceTrack(track: MediaStreamTrack, by: MediaStreamTrack): Promise<void>;
    removeTrack(track: MediaStreamTrack): void;
    /** The data channel of that label, whichever side opens it first. */
    channel(label: string, options?: RTCDataChannelInit): Channel;
    /** Looks for a path anew (ICE restart). */
    restart(): void;
    /** The path in use and one sentence about it; null while there is none. */
    stats(): Promise<{
        path: Path;
        words: string;
    } | null>;
    close(): void;
}
export type ChannelEvents = {
    open: undefined;
    message: string | ArrayBuffer | Blob;
    close: undefined;
};
/** A data channel by its label. It outlives the RTCDataChannel beneath it. */
export interface Channel {
    readonly label: string;
    readonly isOpen: boolean;
    readonly bufferedAmount: number;
    on<E extends keyof ChannelEvents>(type: E, listener: (detail: ChannelEvents[E]) => void): () => void;
    /** False where the channel is not open: nothing was sent. */
    send(data: string | ArrayBuffer | ArrayBufferView<ArrayBuffer>): boolean;
    close(): void;
}
/** Connects and resolves when the server has welcomed us. Rejects with a TurnpikeClientError. */
export declare function join(options: JoinOptions): Promise<Room>;
