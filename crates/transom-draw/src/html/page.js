(function(){"use strict";
var table=document.querySelector("#list table"),body=table&&table.tBodies[0],rows=body?Array.prototype.slice.call(body.rows):[];
var filter=document.getElementById("filter"),shown=document.getElementById("shown"),at=-1;
function visible(){return Array.prototype.filter.call(body.rows,function(r){return !r.hidden})}
function select(i,focus){var v=visible();if(at>=0)rows.forEach(function(r){r.classList.remove("at")});if(!v.length)return;at=Math.max(0,Math.min(i,v.length-1));v[at].classList.add("at");if(focus){v[at].focus();v[at].scrollIntoView({block:"nearest"})}}
function apply(){var words=filter.value.toLowerCase().split(/\s+/).filter(Boolean);rows.forEach(function(r){var t=r.textContent.toLowerCase()+" "+r.className;r.hidden=!words.every(function(w){return t.indexOf(w)>=0});var a=r.querySelector("a");if(a){var d=document.getElementById(a.hash.slice(1));if(d)d.hidden=r.hidden}});var n=visible().length;shown.textContent=words.length?n+" of "+rows.length+" shown":"";at=-1}
function value(row,i){var c=row.cells[i],v=c.getAttribute("data-v");return v===null?c.textContent.toLowerCase():Number(v)}
function sort(th,i){var up=th.getAttribute("aria-sort")!=="ascending";if(!th.hasAttribute("aria-sort")&&th.className==="n"&&i>1)up=false;Array.prototype.forEach.call(th.parentNode.cells,function(c){c.removeAttribute("aria-sort")});th.setAttribute("aria-sort",up?"ascending":"descending");rows.map(function(r,k){return[value(r,i),k,r]}).sort(function(a,b){return(a[0]<b[0]?-1:a[0]>b[0]?1:0)*(up?1:-1)||a[1]-b[1]}).forEach(function(x){body.appendChild(x[2])})}
function open(hash){var d=hash&&document.getElementById(hash.slice(1));if(d&&d.tagName==="DETAILS"){d.open=true;d.querySelector("summary").focus();d.scrollIntoView()}}
if(body){
filter.addEventListener("input",apply);
Array.prototype.forEach.call(table.tHead.rows[0].cells,function(th,i){th.firstChild.addEventListener("click",function(){sort(th,i)})});
body.addEventListener("click",function(e){var r=e.target.closest("tr"),a=r&&r.querySelector("a");if(a&&e.target.tagName!=="A"&&!String(getSelection()))location.hash=a.hash,open(a.hash)});
}
window.addEventListener("hashchange",function(){open(location.hash)});
if(location.hash)open(location.hash);
document.addEventListener("click",function(e){var b=e.target.closest(".unfold, .fold");if(!b)return;var f=b.closest("figure"),w=f&&f.querySelector(".whole");if(!w)return;var now=w.hidden;w.hidden=!now;f.querySelector(".folded").hidden=now;var u=f.querySelector(".unfold");u.setAttribute("aria-pressed",String(now));u.textContent=now?"Fold bulk data":u.getAttribute("data-t")});
Array.prototype.forEach.call(document.querySelectorAll(".unfold"),function(u){u.setAttribute("data-t",u.textContent)});
document.addEventListener("keydown",function(e){if(e.ctrlKey||e.metaKey||e.altKey)return;var typing=e.target===filter;
if(e.key==="Escape"){if(typing){filter.value="";apply()}if(body){select(at<0?0:at,true)}}
else if(typing){if(e.key==="Enter"||e.key==="ArrowDown"){e.preventDefault();select(0,true)}}
else if(!body)return;
else if(e.key==="/"){e.preventDefault();filter.focus();filter.select()}
else if(e.key==="j"||e.key==="k"){e.preventDefault();select(at+(e.key==="j"?1:-1),true)}
else if(e.key==="Enter"&&e.target.tagName==="TR"){var a=e.target.querySelector("a");if(a){location.hash=a.hash;open(a.hash)}}});
})();
