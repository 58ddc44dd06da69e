/** The start page: a name opens a room. */
document.getElementById('open')?.addEventListener('submit', event => {
  event.preventDefault()
  const { value } = document.getElementById('room-name') as HTMLInputElement
  location.href = `/call/${encodeURIComponent(value.trim())}`
})

export {}
